// A tab that uses a bit of everything, and what a test may do to it and ask of it.
import * as tabloom from "tabloom";
import { hold } from "../../pages/mutex-tab.js";
import { receiveUntil, sendUntil } from "../../pages/queue-tab.js";
import { happened, keptUpTo, pause, recordTo, tellAgain } from "../../pages/record.js";
import { seeded } from "../../pages/seeded.js";
import { increment, runJobs, submitUntil, useForgetful } from "./roles.js";
import { listen, publishUntil, takeUntil } from "./topic-roles.js";

const anything = { "~standard": { version: 1, vendor: "e2e", validate: (value) => ({ value }) } };

/** How long a role pauses between its calls at most: the load is to be there, not to be high. */
const PACE_MS = 60;

// What a page says while it goes into the back/forward cache may not be heard.
addEventListener("pageshow", () => tellAgain());

let dedicated;
let space;
const giving = new AbortController();
const taking = new AbortController();
/** Resolve when the roles of each sort are over. */
let given;
let taken;

/** Joins the space and begins. `hub`: the address of the worker's script; its query names it to `disturb`. */
function startLoad({ tab, seed, mode, hub, ordering, mutexDurability, givesUp, ...options }) {
  space = options.space;
  recordTo(tab, (note) => globalThis.tellChaos(JSON.stringify(note)));
  globalThis.backend = tabloom.connect({
    space,
    mode,
    onStatus: ({ state, epoch, connected, problem }) => happened("status", { state, epoch, connected, problem }),
    onReset: ({ reason }) => happened("reset", { reason }),
    worker: ({ name }) => new SharedWorker(hub, { type: "module", name }),
    dedicatedWorker: ({ name }) => (dedicated = new Worker(hub, { type: "module", name })),
  });
  const named = { backend, schema: anything };
  const q = (globalThis.q = tabloom.queue({ id: "q", ordering: { mode: ordering }, ...named }));
  const t = (globalThis.t = tabloom.topic({ id: "t", reclaimAfterMs: 2000, ...named }));
  const forgetful = tabloom.queue({ id: "forgetful", durability: "memory", ...named });
  const counters = (globalThis.counters = tabloom.registry({ id: "counters", ...named }));
  const mutex = tabloom.mutex({ id: "m", backend, durability: mutexDurability, defaultTtl: 45_000 });
  const job = (globalThis.job = runJobs(named));
  const random = (i) => seeded(seed * 100 + i);
  const { signal } = giving;
  const role = (name, i) => ({ name: `${tab}${name}`, pace: PACE_MS, random: random(i) });

  taken = Promise.all([
    receiveUntil(taking.signal, q, { givesUp, random: random(1) }),
    receiveUntil(taking.signal, q, { givesUp, random: random(2) }),
    takeUntil(taking.signal, t, random(3)),
    listen(taking.signal, t),
  ]);
  given = Promise.all([
    sendUntil(signal, q, role("q", 4)),
    publishUntil(signal, t, role("t", 5)),
    useForgetful(signal, forgetful, role("f", 6)),
    increment(signal, counters, role("c", 7)),
    contend(signal, mutex, random(8)),
    contend(signal, mutex, random(9)),
    submitUntil(signal, job, role("j", 10)),
  ]);
}

async function contend(stop, mutex, random) {
  while (!stop.aborted) {
    await hold(mutex, `${space}/${random.pick(["one", "two"])}`, random, { expires: true });
    await pause(random.int(0, PACE_MS));
  }
}

/** No more of what begins something; resolves when all of it is answered. */
async function endGiving() {
  giving.abort();
  await given;
}

async function endTaking() {
  taking.abort();
  await taken;
  await globalThis.job.stop();
}

/** Disturbs the hub of this name (e2e/pages/edge.js), whether it is there or not. */
function disturb(hub, command) {
  const channel = new BroadcastChannel(`edge/${hub}`);
  channel.postMessage({ id: crypto.randomUUID(), ...command });
  channel.close();
}

/** Ends the hub beside this tab, as running out of memory would. */
function endDedicated() {
  dedicated?.terminate();
}

function deleteDatabase() {
  return new Promise((resolve) => {
    const deleting = indexedDB.deleteDatabase(`tabloom:${encodeURIComponent(space)}`);
    deleting.onsuccess = deleting.onerror = () => resolve();
  });
}

/** What the queue still holds, at most so many. */
async function peekQueue(limit) {
  const inspector = tabloom.inspect(globalThis.backend);
  const instances = await inspector.instances();
  const { name } = instances.find(({ name: { kind, id } }) => kind === "queue" && id === "q");
  return { now: Date.now(), held: await inspector.peek(name, { limit }) };
}

/** How many hubs own the space, by the lock that there is one of. */
async function owners() {
  const { held = [] } = await navigator.locks.query();
  return held.filter(({ name }) => name === `tabloom:${encodeURIComponent(space)}:owner`).length;
}

Object.assign(globalThis, {
  keptUpTo,
  tellAgain: () => tellAgain(),
  startLoad,
  endGiving,
  endTaking,
  disturb,
  endDedicated,
  deleteDatabase,
  peekQueue,
  owners,
});
