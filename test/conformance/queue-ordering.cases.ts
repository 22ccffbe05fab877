import { assert } from "chai";
import { z } from "zod";
import type { Received } from "../../src/memory.js";
import { ONE_TAB, type World, cases } from "./case.js";
import { drain, nothing, parked, sendAll, take } from "./receiving.js";

const schema = z.string();
const LEASE = 60_000;

/** A partitioned queue with messages named "<key><n>"; "-" is no key. */
function partitioned(world: World, settings: { maxDeliveries?: number; id?: string } = {}) {
  const { maxDeliveries = 10, id = world.id() } = settings;
  return world.queue({
    id,
    schema,
    ordering: { mode: "ordering_key_partitioned" },
    delivery: { defaultLeaseMs: LEASE, maxDeliveries },
  });
}

async function sendKeyed(queue: ReturnType<typeof partitioned>, ...names: string[]): Promise<void> {
  await queue.sendMany(names.map((data) => (data.startsWith("-") ? { data } : { data, orderingKey: data[0]! })));
}

/** Claims all that can be claimed, without settling. */
async function claimAll(queue: ReturnType<typeof partitioned>): Promise<Received<string>[]> {
  return queue.recvMany({ max: 100, wait: false });
}

const dataOf = (messages: Received<string>[]): string[] => messages.map(({ data }) => data);

/** Ordering keys and priorities. */
export const queueOrdering = cases("queue", {
  "without partitions an ordering key is only carried": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.sendMany(["1", "2"].map((data) => ({ data, orderingKey: "k" })));
    assert.deepEqual(dataOf(await queue.recvMany({ max: 5 })), ["1", "2"]);
  },

  "reference fault: partitioned ordering is not ignored: one message of a key is in flight": async (world) => {
    const queue = partitioned(world);
    await sendKeyed(queue, "a1", "a2", "b1", "b2", "a3");
    const [a1, b1] = await claimAll(queue);
    assert.deepEqual([a1!.data, b1!.data], ["a1", "b1"]);
    await nothing(queue);
    await a1!.ack();
    const a2 = await take(queue);
    assert.strictEqual(a2.data, "a2");
    await nothing(queue);
    await b1!.ack();
    assert.strictEqual((await take(queue)).data, "b2");
    await a2.ack();
    assert.strictEqual((await take(queue)).data, "a3");
  },

  "messages of a key come in the order of sending": async (world) => {
    const queue = partitioned(world);
    await sendKeyed(queue, "a1", "b1", "a2", "c1", "b2", "a3");
    const order = await drain(queue);
    for (const key of "abc") {
      const ofKey = order.filter((data) => data.startsWith(key));
      assert.deepEqual(ofKey, [...ofKey].sort());
    }
    assert.lengthOf(order, 6);
  },

  "an acknowledged message wakes a recv for the next of its key": async (world) => {
    const queue = partitioned(world);
    await sendKeyed(queue, "a1", "a2");
    const a1 = await take(queue);
    const waiting = queue.recv();
    await parked(queue);
    await a1.ack();
    assert.strictEqual((await waiting)?.data, "a2");
  },

  "a nacked message returns to the head of its key": async (world) => {
    const queue = partitioned(world);
    await sendKeyed(queue, "a1", "a2", "b1");
    await (await take(queue)).nack();
    const order = await drain(queue);
    assert.deepEqual(
      order.filter((data) => data.startsWith("a")),
      ["a1", "a2"],
    );
    assert.include(order, "b1");
  },

  "a delayed nack blocks its key until it is due": async (world) => {
    const queue = partitioned(world);
    await sendKeyed(queue, "a1", "a2", "b1");
    const [a1] = await claimAll(queue);
    await a1!.nack({ delayMs: 100_000 });
    await sendKeyed(queue, "a3", "b2");
    await world.advance(90_000);
    // b1 is still held: its lease is over by now, so b comes again in order.
    assert.deepEqual(await drain(queue), ["b1", "b2"]);
    await nothing(queue);
    await world.advance(10_001);
    assert.deepEqual(await drain(queue), ["a1", "a2", "a3"]);
  },

  "an expired lease returns to the head of its key": async (world) => {
    const queue = partitioned(world);
    await sendKeyed(queue, "a1", "a2");
    await take(queue);
    await nothing(queue);
    await world.advance(LEASE + 1);
    const again = await take(queue);
    assert.include(again, { data: "a1", attempt: 2 });
    await nothing(queue);
    await again.ack();
    assert.deepEqual(await drain(queue), ["a2"]);
  },

  "dead-lettering by nack unblocks the key": async (world) => {
    const queue = partitioned(world);
    await sendKeyed(queue, "a1", "a2");
    const waiting = take(queue).then(async (a1) => {
      const next = queue.recv();
      await parked(queue);
      await a1.nack({ deadLetter: true });
      return next;
    });
    assert.strictEqual((await waiting)?.data, "a2");
  },

  "dead-lettering by used up deliveries unblocks the key": async (world) => {
    const queue = partitioned(world, { maxDeliveries: 2 });
    await sendKeyed(queue, "a1", "a2");
    await (await take(queue)).nack();
    assert.strictEqual((await take(queue)).data, "a1");
    await world.advance(LEASE + 1);
    assert.strictEqual((await take(queue)).data, "a2");
    assert.deepEqual(
      (await queue.dlq.list()).entries.map(({ data }) => data),
      ["a1"],
    );
  },

  "an unreadable message does not block its key": async (world) => {
    const id = world.id();
    const settings = { id, ordering: { mode: "ordering_key_partitioned" as const } };
    const writer = world.queue({ ...settings, schema: z.unknown() });
    await writer.sendMany([
      { data: 1, orderingKey: "a" },
      { data: "a2", orderingKey: "a" },
    ]);
    assert.deepEqual(await drain(world.queue({ ...settings, schema })), ["a2"]);
  },

  "a message too old for delivery does not block its key": async (world) => {
    const queue = world.queue({
      id: world.id(),
      schema,
      ordering: { mode: "ordering_key_partitioned" },
      limits: { maxMessageAgeMs: 60_000 },
    });
    await queue.send({ data: "a1", orderingKey: "a" });
    await world.advance(50_000);
    await queue.send({ data: "a2", orderingKey: "a" });
    await world.advance(10_001);
    assert.deepEqual(await drain(queue), ["a2"]);
  },

  "a delayed send does not block its key, and takes its place when due": async (world) => {
    const queue = partitioned(world);
    await queue.send({ data: "a1", orderingKey: "a", delayMs: 10_000 });
    await sendKeyed(queue, "a2", "a3");
    const a2 = await take(queue);
    assert.strictEqual(a2.data, "a2");
    await world.advance(10_001);
    await nothing(queue);
    await a2.ack();
    assert.deepEqual(await drain(queue), ["a1", "a3"]);
  },

  "a delayed send that comes due while its key is blocked waits": async (world) => {
    const queue = partitioned(world);
    await sendKeyed(queue, "a1");
    await queue.send({ data: "a2", orderingKey: "a", delayMs: 10_000 });
    const a1 = await take(queue);
    await world.advance(10_001);
    await nothing(queue);
    await a1.nack({ delayMs: 10_000 });
    await nothing(queue);
    await world.advance(10_001);
    assert.deepEqual(await drain(queue), ["a1", "a2"]);
  },

  "a blocked key holds up no other": async (world) => {
    const queue = partitioned(world);
    await sendKeyed(queue, "a1", "a2", "a3", "b1", "c1", "-1");
    const a1 = await take(queue);
    assert.strictEqual(a1.data, "a1");
    assert.deepEqual((await drain(queue)).sort(), ["-1", "b1", "c1"]);
    await a1.ack();
    assert.deepEqual(await drain(queue), ["a2", "a3"]);
  },

  "messages without a key are unordered: several at once": async (world) => {
    const queue = partitioned(world);
    await sendKeyed(queue, "-1", "-2", "-3");
    assert.deepEqual(dataOf(await claimAll(queue)), ["-1", "-2", "-3"]);
  },

  "a redriven message goes behind the others of its key": async (world) => {
    const queue = partitioned(world);
    await sendKeyed(queue, "a1", "a2");
    await (await take(queue)).nack({ deadLetter: true });
    await queue.dlq.redrive({ all: true });
    assert.deepEqual(await drain(queue), ["a2", "a1"]);
  },

  "purge leaves a blocked key usable": async (world) => {
    const queue = partitioned(world);
    await sendKeyed(queue, "a1", "a2");
    const a1 = await take(queue);
    assert.strictEqual(await queue.purge(), 1);
    await sendKeyed(queue, "a3");
    await nothing(queue);
    await a1.ack();
    assert.deepEqual(await drain(queue), ["a3"]);
  },

  "purge takes a message that waits for its retry, and unblocks the key": async (world) => {
    const queue = partitioned(world);
    await sendKeyed(queue, "a1", "a2");
    await (await take(queue)).nack({ delayMs: 60_000 });
    assert.strictEqual(await queue.purge(), 2);
    await sendKeyed(queue, "a3");
    assert.deepEqual(await drain(queue), ["a3"]);
  },

  "touch keeps a key blocked": async (world) => {
    const queue = partitioned(world);
    await sendKeyed(queue, "a1", "a2");
    const a1 = await take(queue);
    await world.advance(LEASE - 10_000);
    assert.isTrue(await a1.touch());
    await world.advance(LEASE - 10_000);
    await nothing(queue);
    await a1.ack();
    assert.deepEqual(await drain(queue), ["a2"]);
  },

  "a closed tab's message returns to the head of its key": {
    skip: ONE_TAB,
    run: async (world) => {
      const id = world.id();
      const here = partitioned(world, { id });
      await sendKeyed(here, "a1", "a2");
      const tab = world.tab();
      await take(partitioned(tab, { id }));
      const waiting = here.recv({ timeoutMs: 5000 });
      await tab.backend.close();
      assert.strictEqual((await waiting)?.data, "a1");
      await nothing(here);
    },
  },

  "0 is the first priority, 9 the last, 5 the default": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    for (const priority of [9, 6, 5, 4, 0]) await queue.send({ data: String(priority), priority });
    await queue.send({ data: "default" });
    assert.deepEqual(await drain(queue), ["0", "4", "5", "default", "6", "9"]);
  },

  "equal priorities go by order of sending": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    for (const data of ["1", "2", "3"]) await queue.send({ data, priority: 3 });
    assert.deepEqual(await drain(queue), ["1", "2", "3"]);
  },

  "a waiting message rises one priority every 30 s": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: "old 7", priority: 7 });
    await world.advance(45_000);
    await queue.send({ data: "new 5", priority: 5 });
    await queue.send({ data: "new 6", priority: 6 });
    // 7 − 1 = 6: behind 5, before the younger 6.
    assert.deepEqual(await drain(queue), ["new 5", "old 7", "new 6"]);
  },

  "a risen message does not pass priority 0, where order of sending decides": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: "first 0", priority: 0 });
    await queue.send({ data: "risen 9", priority: 9 });
    await world.advance(9 * 30_000 + 1000);
    await queue.send({ data: "second 0", priority: 0 });
    assert.deepEqual(await drain(queue), ["first 0", "risen 9", "second 0"]);
  },

  "waiting counts from when a message became ready": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: "delayed 6", priority: 6, delayMs: 100_000 });
    await world.advance(101_000);
    await queue.send({ data: "new 5", priority: 5 });
    assert.deepEqual(await drain(queue), ["new 5", "delayed 6"]);
  },

  "a nacked message keeps its priority": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: "high", priority: 1 });
    await sendAll(queue, "normal");
    await (await take(queue)).nack();
    assert.deepEqual(await drain(queue), ["high", "normal"]);
  },

  "priority decides between keys, not within one": async (world) => {
    const queue = partitioned(world);
    await queue.send({ data: "a1", orderingKey: "a", priority: 9 });
    await queue.send({ data: "a2", orderingKey: "a", priority: 0 });
    await queue.send({ data: "b1", orderingKey: "b", priority: 5 });
    const order = await drain(queue);
    assert.isBelow(order.indexOf("a1"), order.indexOf("a2"));
    assert.strictEqual(order[0], "b1");
  },
});
