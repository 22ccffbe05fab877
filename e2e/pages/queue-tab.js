// A tab that sends to a queue, receives from it, and does with messages whatever can be done, as a seed decides.
import * as tabloom from "tabloom";
import { call, callAll, pause } from "./record.js";
import { seeded } from "./seeded.js";

const anything = { "~standard": { version: 1, vendor: "e2e", validate: (value) => ({ value }) } };

const SHORT_LEASE_MS = 40;
const TOO_LATE_MS = 60;
/** Messages that wait at most, and mostly: where none waits, order does not show. */
const BACKLOG = 100;

/**
 * Starts to send and to receive. `givesUp`: some of its `recv` are aborted; what they were given unseen goes back to the
 * front, so that first claims are not in order any more.
 */
function useQueue({ tab, seed, worker, mode, space, queue, givesUp = false, senders = 1, receivers = 3 }) {
  const backend = tabloom.connect({ space, mode, ...(worker ? { worker: workerAt(worker) } : {}) });
  const q = tabloom.queue({ id: "q", schema: anything, backend, ...queue });
  const sending = new AbortController();
  const receiving = new AbortController();
  const sent = Array.from({ length: senders }, (_, i) =>
    sendUntil(sending.signal, q, { name: `${tab}${i}`, random: seeded(seed - i) }),
  );
  const received = Array.from({ length: receivers }, (_, i) =>
    receiveUntil(receiving.signal, q, { givesUp, random: seeded(seed + i + 1) }),
  );
  globalThis.q = q;
  globalThis.stopSending = async () => {
    sending.abort();
    await Promise.all(sent);
  };
  globalThis.stopReceiving = async () => {
    receiving.abort();
    await Promise.all(received);
  };
}

function workerAt(url) {
  return ({ name }) => new SharedWorker(url, { type: "module", name });
}

/** `pace`: how long it pauses between calls at most, in milliseconds. */
export async function sendUntil(stop, q, { name, pace = 2, random: { int, chance } }) {
  let count = 0;
  const make = () => ({
    value: `${name}-${++count}`,
    ...(chance(0.7) ? { orderingKey: `key-${int(1, 10)}` } : {}),
    ...(chance(0.1) ? { idempotencyKey: `once-${int(1, 40)}` } : {}),
    ...(chance(0.1) ? { delayMs: int(1, 60) } : {}),
    ...(chance(0.1) ? { priority: int(0, 9) } : {}),
  });
  const optionsOf = ({ value, ...options }) => ({ data: { value }, ...options });
  while (!stop.aborted) {
    if ((await q.stats()).depth > BACKLOG) {
      await pause(10);
      continue;
    }
    const items = Array.from({ length: int(1, 8) }, make);
    if (chance(0.5)) await call("send", { items }, () => q.sendMany(items.map(optionsOf)));
    else {
      await callAll(items.map((item) => ["send", { items: [item] }, async () => [await q.send(optionsOf(item))]]));
    }
    await pause(int(0, pace));
  }
}

export async function receiveUntil(stop, q, { givesUp, random }) {
  const { int, chance, pick } = random;
  while (!stop.aborted) {
    const late = chance(0.05);
    const options = {
      max: chance(0.3) ? int(2, 5) : 1,
      timeoutMs: pick([0, 20, 200]),
      ...(late ? { leaseMs: SHORT_LEASE_MS } : {}),
      ...(givesUp && chance(0.3) ? { signal: AbortSignal.timeout(int(0, 10)) } : {}),
    };
    const received = await call(
      "recv",
      {},
      () => q.recvMany(options),
      (messages) => messages.map(deliveryOf),
    );
    const messages = received ?? [];
    if (messages.length === 0) await pause(1);
    for (const message of messages) await useMessage(message, late, random);
  }
}

function deliveryOf({ data, messageId, deliveryId, attempt, orderingKey }) {
  return { value: data.value, messageId, deliveryId, attempt, ...(orderingKey === undefined ? {} : { orderingKey }) };
}

async function useMessage(message, late, { int, chance }) {
  const { deliveryId } = message;
  const ack = () => call("ack", { deliveryId }, () => message.ack());
  const nack = (options) => call("nack", { deliveryId, ...options }, () => message.nack(options));
  await pause(late ? TOO_LATE_MS : int(0, 4));
  if (late && chance(0.3)) return;
  if (chance(0.08)) await nack({});
  else if (chance(0.06)) await nack({ delayMs: int(1, 40) });
  else if (chance(0.03)) await nack({ deadLetter: true });
  else {
    if (chance(0.1)) await call("touch", { deliveryId }, () => message.touch());
    await ack();
    // Again: it must find nothing.
    if (chance(0.1)) await ack();
  }
}

/** What is in the queue for good: its dead letters. */
async function deadLetters() {
  const found = [];
  for (let after; ;) {
    const { entries, next } = await globalThis.q.dlq.list({ limit: 1000, ...(after ? { after } : {}) });
    found.push(...entries.map(({ data, messageId }) => ({ value: data.value, messageId })));
    if (next === undefined) return found;
    after = next;
  }
}

Object.assign(globalThis, { useQueue, deadLetters });
