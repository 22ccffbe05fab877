// The built package as a page sees it, within reach of tests, and the roles that tabs play in them.
import * as tabloom from "tabloom";
import "./workers.js";

/** Accepts anything: what these tests send is checked by the tests. */
const anything = { "~standard": { version: 1, vendor: "e2e", validate: (value) => ({ value }) } };

let backend;

/** Hubs at another address; those of the steered one can be disturbed from inside. */
const workersAt = (url) => ({
  worker: ({ name }) => new SharedWorker(url, { type: "module", name }),
  dedicatedWorker: ({ name }) => new Worker(url, { type: "module", name }),
});
const STEERED = "/e2e/pages/steered-hub.js";

const steering = new BroadcastChannel("steer-hub");
const steered = [];
steering.onmessage = ({ data }) => steered.push(data.done);

/** Disturbs the hub; resolves when it says that it is done. */
async function steer(command) {
  steered.length = 0;
  steering.postMessage(command);
  while (steered.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** Connects this tab and makes a queue and a topic of the given names. */
function join(space, { queue = {}, topic = {}, steer = false, workerUrl, ...options } = {}) {
  backend = tabloom.connect({ space, ...(steer || workerUrl ? workersAt(workerUrl ?? STEERED) : {}), ...options });
  globalThis.backend = backend;
  globalThis.q = tabloom.queue({ id: "q", schema: anything, ...queue });
  globalThis.t = tabloom.topic({ id: "t", schema: anything, ...topic });
}

/** What tabs of a test tell each other: posted before a crash, it arrives after it. */
const journal = new BroadcastChannel("test-journal");
const noted = [];
journal.onmessage = (event) => noted.push(event.data);

function note(entry) {
  const stamped = { ...entry, at: Date.now() };
  noted.push(stamped);
  journal.postMessage(stamped);
}

/** As `note`, and waits until the tab that keeps the record has it: then it is known even if this tab dies. */
async function noteSafely(entry) {
  const receipt = `${entry.by}/${receipts++}`;
  const kept = new Promise((resolve) => waiting.set(receipt, resolve));
  note({ ...entry, receipt });
  await kept;
}

let receipts = 0;
const waiting = new Map();
const confirmations = new BroadcastChannel("test-journal-kept");
confirmations.onmessage = ({ data }) => waiting.get(data)?.();

/** Makes this the tab that keeps the record. */
function keepRecord() {
  journal.addEventListener("message", ({ data }) => {
    if (data.receipt) confirmations.postMessage(data.receipt);
  });
}

/** Sends `count` messages, `inFlight` at a time; resolves with their ids in order of sending. */
async function sendAll(count, { inFlight = 100, from = 0 } = {}) {
  const ids = new Array(count);
  let next = 0;
  const one = async () => {
    while (next < count) {
      const i = next++;
      const { messageId } = await globalThis.q.send({ data: { i: i + from } });
      ids[i] = messageId;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, one));
  return ids;
}

/** Receives and acknowledges until told to stop; notes every receipt and every acknowledgement. */
function consume(name, { concurrency = 5, holdMs = 0 } = {}) {
  const stop = new AbortController();
  const one = async () => {
    for await (const message of globalThis.q.stream({ signal: stop.signal })) {
      const { i } = message.data;
      // Known to the record before it is acknowledged: what nobody noted was never received.
      await noteSafely({ what: "received", by: name, i, attempt: message.attempt });
      if (holdMs > 0) await new Promise((resolve) => setTimeout(resolve, holdMs));
      if (await message.ack()) note({ what: "acked", by: name, i });
    }
  };
  const loops = Promise.all(Array.from({ length: concurrency }, one));
  globalThis.stopConsuming = async () => {
    stop.abort();
    await loops;
  };
}

/** Takes down what a topic's live listener hears from now on. */
async function listenTo(topic) {
  globalThis.seen = [];
  const live = topic.live();
  void (async () => {
    for await (const event of live) globalThis.seen.push(event.data);
  })();
  await topic.latestCursor();
}

Object.assign(globalThis, {
  tabloom,
  anything,
  join,
  listenTo,
  keepRecord,
  steer,
  steering,
  sendAll,
  consume,
  note,
  noteSafely,
  noted,
});
document.title = "ready";
