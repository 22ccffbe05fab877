/** What runs in the tabs. `bench` is called from Node through `page.evaluate`. */
import { type Remote, wrap } from "comlink";
import { Dexie } from "dexie";
import * as tabloom from "../src/index.js";
import { makePayload, payload } from "./payload.js";
import type { RawPort } from "./raw-worker.js";

type Durability = tabloom.Durability;
type Schema = typeof payload;
type Mode = NonNullable<tabloom.HubOptions["mode"]>;

const backends = new Map<string, tabloom.Backend>();
/** The mode of each space that was named one. */
const modes = new Map<string, Mode>();
const queues = new Map<string, tabloom.Queue<Schema>>();
const topics = new Map<string, tabloom.Topic<Schema>>();

// --- Handles --------------------------------------------------------------------------------------------------------

function backendOf(space: string): tabloom.Backend {
  const mode = modes.get(space);
  return getOrAdd(backends, space, () => tabloom.connect({ space, ...(mode && { mode }) }));
}

function queueOf(durability: Durability, space = "bench"): tabloom.Queue<Schema> {
  const make = (): tabloom.Queue<Schema> =>
    tabloom.queue({ id: durability, schema: payload, durability, backend: backendOf(space) });
  return getOrAdd(queues, `${space}/${durability}`, make);
}

function topicOf(durability: Durability, { space = "bench", maxLen = 50_000 } = {}): tabloom.Topic<Schema> {
  const make = (): tabloom.Topic<Schema> =>
    tabloom.topic({ id: durability, schema: payload, durability, backend: backendOf(space), maxLen });
  return getOrAdd(topics, `${space}/${durability}`, make);
}

function getOrAdd<T>(map: Map<string, T>, key: string, make: () => T): T {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}

// --- Loops ----------------------------------------------------------------------------------------------------------

/** Operations per second of `count` operations, `inFlight` at a time. */
async function rate(count: number, inFlight: number, one: (i: number) => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await each(count, inFlight, one);
  return count / ((performance.now() - start) / 1000);
}

async function each(count: number, inFlight: number, one: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const loop = async (): Promise<void> => {
    while (next < count) await one(next++);
  };
  await Promise.all(Array.from({ length: inFlight }, loop));
}

/** A page's clock ticks every 0.1 ms: each figure is the mean of 25 operations, one after the other. */
async function latencies(count: number, one: (i: number) => Promise<unknown>): Promise<number[]> {
  const figures: number[] = [];
  for (let i = 0; i < count; i += 25) {
    const start = performance.now();
    for (let k = 0; k < 25; k++) await one(i + k);
    figures.push((performance.now() - start) / 25);
  }
  return figures;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
/** The same clock in every tab. */
const epochNow = (): number => performance.timeOrigin + performance.now();

// --- Raw sides ------------------------------------------------------------------------------------------------------

async function connectRaw(name: RawPort): Promise<MessagePort> {
  const { port } = new SharedWorker("/.out/bench/pages/raw-worker.js", { type: "module", name: `raw-${name}` });
  const ready = new Promise((resolve) => (port.onmessage = resolve));
  port.postMessage(name);
  await ready;
  return port;
}

let pingPort: Promise<MessagePort> | undefined;
let commitPort: Promise<MessagePort> | undefined;
let comlink: Promise<{ send: Remote<(message: unknown) => number> }> | undefined;

function connectComlink(): Promise<{ send: Remote<(message: unknown) => number> }> {
  // Wrapped, because a Comlink proxy looks like a promise.
  const connect = async () => ({ send: wrap<(message: unknown) => number>(await connectRaw("comlink")) });
  return (comlink ??= connect());
}

async function ask<Answer>(port: MessagePort, message: unknown): Promise<Answer> {
  const answer = new Promise<Answer>((resolve) => (port.onmessage = ({ data }) => resolve(data as Answer)));
  port.postMessage(message);
  return answer;
}

const dexie = new Dexie("raw-messages");
dexie.version(1).stores({ messages: "++" });

const raw = {
  async pings(count: number): Promise<number[]> {
    const port = await (pingPort ??= connectRaw("ping"));
    return latencies(count, (i) => ask(port, i));
  },
  /** Transactions of one record, in a worker. */
  async commits(count: number, bytes: number): Promise<number[]> {
    return ask(await (commitPort ??= connectRaw("commits")), { count, bytes });
  },
  /** Bare Comlink calls, one after the other: what is left to gain below our own calls. */
  async comlinkPings(count: number): Promise<number[]> {
    const { send } = await connectComlink();
    return latencies(count, (i) => send(makePayload(i)));
  },
  async comlinkCalls(count: number, inFlight: number): Promise<number> {
    const { send } = await connectComlink();
    return rate(count, inFlight, (i) => send(makePayload(i)));
  },
  async dexiePuts(count: number, inFlight: number): Promise<number> {
    await dexie.open();
    const figure = await rate(count, inFlight, (i) => dexie.table("messages").put(payload.parse(makePayload(i))));
    await dexie.table("messages").clear();
    return figure;
  },
};

// --- Calls and messages ---------------------------------------------------------------------------------------------

async function callLatencies(durability: Durability, count: number): Promise<number[]> {
  const queue = queueOf(durability);
  const figures = await latencies(count, (i) => queue.send({ data: makePayload(i) }));
  await queue.purge();
  return figures;
}

async function sendRate(durability: Durability, count: number, inFlight: number): Promise<number> {
  const queue = queueOf(durability);
  const figure = await rate(count, inFlight, (i) => queue.send({ data: makePayload(i) }));
  await queue.purge();
  return figure;
}

/** Sends; resolves with the time when it began. */
async function send(durability: Durability, count: number, inFlight: number): Promise<number> {
  const queue = queueOf(durability);
  const start = epochNow();
  await each(count, inFlight, (i) => queue.send({ data: makePayload(i) }));
  return start;
}

/** Receives and acknowledges; resolves with the time when the last acknowledgement was answered. */
async function consume(durability: Durability, count: number, inFlight: number): Promise<number> {
  const queue = queueOf(durability);
  await each(count, inFlight, async () => {
    const message = await queue.recv();
    if (!(await message?.ack())) throw new Error("a message was not there, or not ours");
  });
  return epochNow();
}

// --- Events ---------------------------------------------------------------------------------------------------------

const channel = new BroadcastChannel("raw-events");
type EventSource = Durability | "broadcast";
const heard = new Map<EventSource, number[]>();

/** Notes for every event of this source how long it was on its way. */
async function listen(source: EventSource): Promise<void> {
  const times: number[] = [];
  heard.set(source, times);
  if (source === "broadcast") {
    channel.onmessage = ({ data }: MessageEvent<{ i: number; text: string }>) => {
      times.push(epochNow() - Number(payload.parse(data).text));
    };
    return;
  }
  const live = topicOf(source).live();
  void (async () => {
    for await (const { data } of live) times.push(epochNow() - Number(data.text));
  })();
  await topicOf(source).latestCursor();
}

/** The times of the next `count` events. */
async function takeHeard(source: EventSource, count: number): Promise<number[]> {
  const times = heard.get(source)!;
  while (times.length < count) await pause(10);
  return times.splice(0);
}

/** One event after the other with time to rest between them. */
async function announce(source: EventSource, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await pause(2);
    const data = { i, text: String(epochNow()) };
    if (source === "broadcast") channel.postMessage(payload.parse(data));
    else await topicOf(source).pub({ data });
  }
}

// --- Backlogs -------------------------------------------------------------------------------------------------------

async function fillQueue(durability: Durability, space: string, count: number, bytes?: number): Promise<void> {
  const queue = queueOf(durability, space);
  await each(count / 1000, 4, (batch) =>
    queue.sendMany(Array.from({ length: 1000 }, (_, i) => ({ data: makePayload((batch * 1000 + i) % 90_000, bytes) }))),
  );
}

/** Milliseconds until a space answers this page, which has not asked it before: the hub starts if there is none. */
async function firstAnswer(space: string): Promise<number> {
  const start = performance.now();
  for (let answered = false; !answered;) {
    answered = await queueOf("relaxed", space)
      .stats()
      .then(
        () => true,
        // A start may take longer than a call has.
        () => false,
      );
  }
  return performance.now() - start;
}

/** Receives and acknowledges in batches. */
async function drain(space: string, count: number): Promise<void> {
  const queue = queueOf("relaxed", space);
  await each(count / 500, 4, async () => {
    const messages = await queue.recvMany({ max: 500 });
    await Promise.all(messages.map((message) => message.ack()));
  });
}

async function fillTopic(space: string, count: number): Promise<void> {
  const topic = topicOf("memory", { space, maxLen: count });
  await each(count / 1000, 4, (batch) =>
    topic.pubMany(Array.from({ length: 1000 }, (_, i) => ({ data: makePayload((batch * 1000 + i) % 90_000) }))),
  );
}

/** Microseconds per send, and per claim with its ack, at a backlog that stays as it is. */
async function queueCosts(
  space: string,
  blocks: number,
  { durability = "memory", bytes }: { durability?: Durability; bytes?: number } = {},
): Promise<{ send: number; claimAndAck: number }> {
  const queue = queueOf(durability, space);
  return alternate(blocks, {
    send: (i) => queue.send({ data: makePayload(i, bytes) }),
    claimAndAck: async () => (await queue.recv())!.ack(),
  });
}

/** As above for a topic at its full length: each publish also trims one event, each round reads as a new group. */
async function topicCosts(space: string, blocks: number): Promise<{ publish: number; claimAndCommit: number }> {
  const topic = topicOf("memory", { space });
  const reader = topic.reader(`group-${epochNow()}`);
  // The group begins with its first claim; from there on, each block takes as many events as were trimmed before it.
  return alternate(blocks, {
    publish: (i) => topic.pub({ data: makePayload(i) }),
    claimAndCommit: async () => (await reader.recv())!.commit(),
  });
}

/** Blocks of 250 operations, 50 in flight, of each kind in turn. Microseconds per operation. */
async function alternate<K extends string>(
  blocks: number,
  operations: Record<K, (i: number) => Promise<unknown>>,
): Promise<Record<K, number>> {
  const kinds = Object.keys(operations) as K[];
  const total = Object.fromEntries(kinds.map((kind) => [kind, 0])) as Record<K, number>;
  for (let block = 0; block < blocks; block++) {
    for (const kind of kinds) {
      const start = performance.now();
      await each(250, 50, operations[kind]);
      total[kind] += performance.now() - start;
    }
  }
  return Object.fromEntries(kinds.map((kind) => [kind, (total[kind] / blocks / 250) * 1000])) as Record<K, number>;
}

/** Records in the journal of a space; what is in the checkpoint is gone from there. */
async function journalLength(space: string): Promise<number> {
  const { name } = (await indexedDB.databases()).find((one) => one.name === `tabloom:${space}`)!;
  const database = await new Promise<IDBDatabase>((resolve, reject) => {
    const request = indexedDB.open(name!);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error as Error);
  });
  const count = database.transaction("journal").objectStore("journal").count();
  const length = await new Promise<number>((resolve) => (count.onsuccess = () => resolve(count.result)));
  database.close();
  return length;
}

// --- Tabs that come and go ------------------------------------------------------------------------------------------

/** Joins a space, and has had an answer from its hub. */
async function join(space: string, mode: Mode): Promise<void> {
  modes.set(space, mode);
  await queueOf("relaxed", space).stats();
}

/** Holds a message with a lease that only this tab's death ends. */
async function hold(space: string): Promise<void> {
  const queue = queueOf("relaxed", space);
  await queue.send({ data: makePayload(1) });
  await queue.recv({ leaseMs: 24 * 3_600_000 });
}

/** When the next message came. */
async function received(space: string): Promise<number> {
  await queueOf("relaxed", space).recv({ timeoutMs: 60_000 });
  return epochNow();
}

const acknowledgedAt: number[] = [];

/** Sends one message after the other, from now on. */
function sendOn(space: string): void {
  const queue = queueOf("relaxed", space);
  void (async () => {
    for (let i = 0; ; i = (i + 1) % 1000) {
      await queue.send({ data: makePayload(i) });
      acknowledgedAt.push(epochNow());
      await pause(1);
    }
  })();
}

/** The longest time between two acknowledgements, once there are so many more. */
async function longestGap(more: number): Promise<number> {
  const from = Math.max(0, acknowledgedAt.length - 1);
  while (acknowledgedAt.length < from + more) await pause(10);
  const times = acknowledgedAt.slice(from);
  return Math.max(...times.slice(1).map((at, i) => at - times[i]!));
}

export const bench = {
  join,
  hold,
  received,
  sendOn,
  longestGap,
  raw,
  callLatencies,
  sendRate,
  send,
  consume,
  listen,
  takeHeard,
  announce,
  fillQueue,
  fillTopic,
  firstAnswer,
  drain,
  queueCosts,
  topicCosts,
  journalLength,
};

type Bench = typeof bench;
declare global {
  var bench: Bench;
}
globalThis.bench = bench;
document.title = "ready";
