import { assert } from "chai";
import { z } from "zod";
import { ONE_TAB, type World, cases } from "./case.js";
import { rejectsWith, throwsRange, throwsWith } from "./expectations.js";
import { drain, nothing, parked, sendAll, take } from "./receiving.js";

const schema = z.string();

/** Who shares a queue, whose configuration counts, and how handles end. */
export const queueIdentity = cases("queue", {
  "handles with the same identity share all state": async (world) => {
    const id = world.id();
    await world.queue({ id, schema }).send({ data: "a" });
    assert.deepEqual(await drain(world.queue({ id, schema })), ["a"]);
  },

  "a handle that needs a schema is not made without a Standard Schema": (world) => {
    const id = world.id();
    const none = { validate: () => true } as unknown as typeof schema;
    throwsWith(() => world.queue({ id, schema: none }), "VALIDATION");
    throwsWith(() => world.topic({ id, schema: none }), "VALIDATION");
    throwsWith(() => world.registry({ id, schema: none }), "VALIDATION");
    throwsWith(() => world.ephemeral({ id, schema: none, ttlMs: 1 }), "VALIDATION");
    throwsWith(() => world.job({ id, schema: none, process: () => {} }), "VALIDATION");
    throwsWith(() => world.job({ id, schema } as unknown as Parameters<World["job"]>[0]), "VALIDATION");
    return Promise.resolve();
  },

  "another prefix, tenant or id is another queue": async (world) => {
    const id = world.id();
    await world.queue({ id, schema }).send({ data: "a" });
    await nothing(world.queue({ id, schema, prefix: "p" }));
    await nothing(world.queue({ id, schema, tenantId: "t" }));
    await nothing(world.queue({ id: `${id}x`, schema }));
  },

  "an unknown word for ordering or durability is refused, not taken for the default": async (world) => {
    const id = world.id();
    const mode = "ordering_key" as "best_effort";
    throwsWith(() => world.queue({ id, schema, ordering: { mode } }), "VALIDATION");
    throwsWith(() => world.queue({ id, schema, durability: "disk" as "strict" }), "VALIDATION");
  },

  'tenantId defaults to "default"': async (world) => {
    const id = world.id();
    await world.queue({ id, schema }).send({ data: "a" });
    assert.deepEqual(await drain(world.queue({ id, schema, tenantId: "default" })), ["a"]);
  },

  "identity tuples never collide, whatever characters they hold": async (world) => {
    const id = world.id();
    const parts = ["a", "a:b", ":", "a/b", '"', '","', "\\", "[", "\u0000", "%3A", "ä", "😀"];
    const tuples = parts.flatMap((prefix) => parts.map((tenantId) => ({ prefix, tenantId, id: `${id}:${tenantId}` })));
    for (const tuple of tuples) await world.queue({ ...tuple, schema }).send({ data: JSON.stringify(tuple) });
    for (const tuple of tuples)
      assert.deepEqual(await drain(world.queue({ ...tuple, schema })), [JSON.stringify(tuple)]);
  },

  "prefix, tenant and id that join to the same text stay apart": async (world) => {
    const id = world.id();
    const one = world.queue({ prefix: "a:b", id, schema });
    const other = world.queue({ prefix: "a", id: `b:${id}`, schema });
    await one.send({ data: "one" });
    await nothing(other);
    assert.deepEqual(await drain(one), ["one"]);
  },

  "a queue and a topic with the same id do not meet": async (world) => {
    const id = world.id();
    const queue = world.queue({ id, schema });
    await world.topic({ id, schema }).pub({ data: "event" });
    await nothing(queue);
  },

  "id and tenantId have 1 to 256 characters": async (world) => {
    throwsWith(() => world.queue({ id: "", schema }), "VALIDATION");
    throwsWith(() => world.queue({ id: "x".repeat(257), schema }), "VALIDATION");
    throwsWith(() => world.queue({ id: world.id(), tenantId: "", schema }), "VALIDATION");
    throwsWith(() => world.queue({ id: world.id(), tenantId: "x".repeat(257), schema }), "VALIDATION");
    const queue = world.queue({ id: world.id().padEnd(256, "x"), tenantId: "t".repeat(256), schema });
    await queue.send({ data: "a" });
    assert.deepEqual(await drain(queue), ["a"]);
    await rejectsWith(queue.send({ data: "a", tenantId: "" }), "VALIDATION");
    await rejectsWith(queue.recv({ tenantId: "x".repeat(257) }), "VALIDATION");
  },

  "id and tenantId are well-formed Unicode": async (world) => {
    throwsWith(() => world.queue({ id: "\ud800", schema }), "VALIDATION");
    await rejectsWith(world.queue({ id: world.id(), schema }).send({ data: "a", tenantId: "x\udc00" }), "VALIDATION");
  },

  "every call takes tenantId": async (world) => {
    const queue = world.queue({ id: world.id(), schema, delivery: { maxDeliveries: 1 } });
    const other = { tenantId: "other" };
    await queue.send({ data: "1", ...other });
    await queue.sendMany([{ data: "2" }, { data: "3" }, { data: "4" }], other);
    await nothing(queue);
    assert.strictEqual((await queue.stats()).depth, 0);
    assert.strictEqual((await queue.stats(other)).depth, 4);
    assert.lengthOf(await queue.peek(), 0);
    assert.lengthOf(await queue.peek(other), 4);

    await queue.pause(other);
    await nothing(queue, other);
    await queue.send({ data: "not paused" });
    assert.deepEqual(await drain(queue), ["not paused"]);
    await queue.resume(other);

    for (const message of await queue.recvMany({ ...other, max: 3 })) assert.isTrue(await message.nack());
    assert.lengthOf((await queue.dlq.list()).entries, 0);
    const { entries } = await queue.dlq.list(other);
    assert.deepEqual(
      entries.map(({ data }) => data),
      ["1", "2", "3"],
    );
    const ids = entries.map(({ messageId }) => messageId);
    assert.isFalse(await queue.dlq.remove(ids[0]!));
    assert.isTrue(await queue.dlq.remove(ids[0]!, other));
    assert.strictEqual(await queue.dlq.redrive({ all: true }), 0);
    assert.strictEqual(await queue.dlq.redrive({ ids: [ids[1]!], ...other }), 1);
    assert.strictEqual(await queue.dlq.purge(), 0);
    assert.strictEqual(await queue.dlq.purge(other), 1);
    assert.strictEqual(await queue.purge(), 0);
    assert.strictEqual(await queue.purge(other), 2);
    await nothing(queue, other);
  },

  "stream and reader take tenantId": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: "a", tenantId: "t" });
    assert.deepEqual(await drain(queue.reader()), []);
    assert.deepEqual(await drain(queue.reader(), { tenantId: "t" }), ["a"]);
  },

  "limits out of range throw at the factory": async (world) => {
    const id = world.id();
    for (const bad of [0, -1, 1.5, Number.NaN, Infinity, 2 ** 53, "1" as unknown as number]) {
      throwsRange(() => world.queue({ id, schema, limits: { payloadBytes: bad } }));
      throwsRange(() => world.queue({ id, schema, limits: { maxMessageAgeMs: bad } }));
      throwsRange(() => world.queue({ id, schema, limits: { dlqRetentionMs: bad } }));
      throwsRange(() => world.queue({ id, schema, limits: { maxMessages: bad } }));
      throwsRange(() => world.queue({ id, schema, limits: { maxDead: bad } }));
      throwsRange(() => world.queue({ id, schema, limits: { maxIdempotencyKeys: bad } }));
      throwsRange(() => world.queue({ id, schema, delivery: { defaultLeaseMs: bad } }));
      throwsRange(() => world.queue({ id, schema, delivery: { maxDeliveries: bad } }));
      if (bad !== 0) throwsRange(() => world.queue({ id, schema, limits: { maxNackDelayMs: bad } }));
    }
  },

  "configuration belongs to the instance: a later open with other limits wins": async (world) => {
    const id = world.id();
    const first = world.queue({ id, schema });
    await first.send({ data: "a" });
    const second = world.queue({ id, schema, limits: { maxMessages: 1 } });
    await second.stats();
    await rejectsWith(first.send({ data: "b" }), "CAPACITY");
  },

  "a later open with other limits announces `reconfigured`": async (world) => {
    const id = world.id();
    await world.queue({ id, schema }).stats();
    const heard = new Promise<unknown>((resolve) => {
      const port = world.backend.port(specOf(id, world.name));
      port.listen({ event: (event) => resolve(event), resync() {} });
    });
    await world.queue({ id, schema, limits: { maxMessages: 7 } }).stats();
    assert.deepInclude(await heard, { type: "instance.reconfigured" });
  },

  "rules know the configuration with no handle open": async (world) => {
    const id = world.id();
    const queue = world.queue({ id, schema, delivery: { maxDeliveries: 1, defaultLeaseMs: 10_000 } });
    await queue.send({ data: "a" });
    await take(queue);
    await queue.close();
    await world.advance(10_001);
    const [dead] = (await world.queue({ id, schema, delivery: { maxDeliveries: 5 } }).dlq.list()).entries;
    assert.strictEqual(dead?.reason, "max_deliveries_exceeded");
  },

  "another ordering mode is a CONFLICT": async (world) => {
    const id = world.id();
    await world.queue({ id, schema }).send({ data: "a" });
    const other = world.queue({ id, schema, ordering: { mode: "ordering_key_partitioned" } });
    const error = await rejectsWith(other.send({ data: "b" }), "CONFLICT");
    assert.instanceOf(error, world.entry.TabloomError);
    assert.isFalse(error.retryable);
    await rejectsWith(other.recv({ wait: false }), "CONFLICT");
    assert.deepEqual(await drain(world.queue({ id, schema })), ["a"]);
  },

  "close is idempotent, and calls then reject with CLOSED": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: "a" });
    await queue.close();
    await queue.close();
    const calls = [
      () => queue.send({ data: "b" }),
      () => queue.sendMany([{ data: "b" }]),
      () => queue.recv(),
      () => queue.recvMany({ max: 2 }),
      () => queue.stats(),
      () => queue.peek(),
      () => queue.purge(),
      () => queue.pause(),
      () => queue.resume(),
      () => queue.dlq.list(),
      () => queue.dlq.remove("x"),
      () => queue.dlq.redrive({ all: true }),
      () => queue.dlq.purge(),
      () => queue.reader().recv(),
      () => queue.stream().next(),
    ];
    for (const call of calls) await rejectsWith(call(), "CLOSED");
  },

  "close settles parked calls and ends streams": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    const one = queue.recv();
    const many = queue.recvMany({ max: 3 });
    const stream = queue.stream();
    const next = stream.next();
    await parked(queue, 3);
    await queue.close();
    assert.isNull(await one);
    assert.deepEqual(await many, []);
    assert.deepEqual(await next, { done: true, value: undefined });
    assert.deepEqual(await stream.next(), { done: true, value: undefined });
  },

  "close leaves other handles alone": async (world) => {
    const id = world.id();
    const closing = world.queue({ id, schema });
    const other = world.queue({ id, schema });
    const waiting = other.recv();
    await parked(other);
    await closing.close();
    await other.send({ data: "a" });
    assert.strictEqual((await waiting)?.data, "a");
  },

  "deliveries can be settled after their handle was closed": async (world) => {
    const id = world.id();
    const queue = world.queue({ id, schema });
    await sendAll(queue, "a", "b", "c");
    const [a, b, c] = await queue.recvMany({ max: 3 });
    await queue.close();
    assert.isTrue(await a!.ack());
    assert.isTrue(await b!.nack());
    assert.isTrue(await c!.touch());
    assert.deepEqual(await drain(world.queue({ id, schema })), ["b"]);
  },

  "asyncDispose closes": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue[Symbol.asyncDispose]();
    await rejectsWith(queue.send({ data: "a" }), "CLOSED");
  },

  "backend.close settles parked calls, then calls reject with CLOSED": async (world) => {
    const closing = world.fresh();
    const queue = closing.queue({ id: world.id(), schema });
    const waiting = queue.recv();
    await parked(queue);
    await closing.backend.close();
    await closing.backend.close();
    assert.isNull(await waiting);
    await rejectsWith(queue.send({ data: "a" }), "CLOSED");
    assert.strictEqual(closing.backend.status.state, "closed");
  },

  "backend.close hands back what its tab held: to its old place, attempt not counted": {
    skip: ONE_TAB,
    run: async (world) => {
      const id = world.id();
      const tab = world.tab();
      const here = world.queue({ id, schema });
      await sendAll(here, "a", "b");
      await take(tab.queue({ id, schema }));
      await tab.backend.close();
      const again = await here.recv({ timeoutMs: 5000 });
      assert.strictEqual(again?.data, "a");
      assert.strictEqual(again?.attempt, 1);
    },
  },

  "tabs share a queue": {
    skip: ONE_TAB,
    run: async (world) => {
      const id = world.id();
      const other = world.tab().queue({ id, schema });
      const waiting = other.recv();
      await parked(other);
      await world.queue({ id, schema }).send({ data: "a" });
      assert.strictEqual((await waiting)?.data, "a");
      await nothing(world.queue({ id, schema }));
    },
  },
});

/** The port's own terms for a queue with default settings, to hear its events. */
function specOf(id: string, worldName: string) {
  const days7 = 7 * 24 * 3_600_000;
  return {
    name: { prefix: "", kind: "queue" as const, tenantId: "default", id },
    durability: worldName.endsWith("memory") ? ("memory" as const) : ("relaxed" as const),
    config: {
      ordering: "best_effort" as const,
      payloadBytes: 131_072,
      maxMessageAgeMs: days7,
      maxNackDelayMs: days7,
      dlqRetentionMs: days7,
      maxMessages: 0,
      maxDead: 10_000,
      maxIdempotencyKeys: 100_000,
      defaultLeaseMs: 30_000,
      maxDeliveries: 10,
    },
  };
}
