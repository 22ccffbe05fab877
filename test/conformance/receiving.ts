import { assert } from "chai";
import type { Queue, QueueReader, Received, Schema, TopicReader, TopicReceived } from "../../src/memory.js";
import { eventually } from "./expectations.js";

/** The next message, which must be there already. */
export async function take<Data>(
  from: QueueReader<Data>,
  options: { tenantId?: string; leaseMs?: number } = {},
): Promise<Received<Data>> {
  const message = await from.recv({ ...options, wait: false });
  assert.isNotNull(message, "a message is ready");
  return message!;
}

/** Nothing could be received now. */
export async function nothing(from: QueueReader<unknown>, options: { tenantId?: string } = {}): Promise<void> {
  const message = await from.recv({ ...options, wait: false });
  assert.isNull(message, `nothing is ready, but got ${JSON.stringify(message?.data)}`);
}

/** Acknowledges everything that is ready; its data in order. */
export async function drain<Data>(from: QueueReader<Data>, options: { tenantId?: string } = {}): Promise<Data[]> {
  const all: Data[] = [];
  for await (const message of from.stream({ ...options, wait: false })) {
    all.push(message.data);
    assert.isTrue(await message.ack());
  }
  return all;
}

/** The next event of a group, which must be there already. */
export async function takeEvent<Data>(
  from: TopicReader<Data>,
  options: { tenantId?: string } = {},
): Promise<TopicReceived<Data>> {
  const event = await from.recv({ ...options, wait: false });
  assert.isNotNull(event, "an event is ready");
  return event!;
}

/** Commits everything that the group has left; its data in order. */
export async function drainEvents<Data>(from: TopicReader<Data>, options: { tenantId?: string } = {}): Promise<Data[]> {
  const all: Data[] = [];
  for await (const event of from.stream({ ...options, wait: false })) {
    all.push(event.data);
    assert.isTrue(await event.commit());
  }
  return all;
}

/** Resolves when this many calls are parked at the backend: streams make theirs a little later than `recv`. */
export async function parked(handle: { stats(): Promise<{ waiters: number }> }, count = 1): Promise<void> {
  await eventually(async () => (await handle.stats()).waiters === count, `${count} parked calls`);
}

/** Sends these one after the other. */
export async function sendAll<S extends Schema<string, unknown>>(to: Queue<S>, ...data: string[]): Promise<void> {
  for (const text of data) await to.send({ data: text });
}
