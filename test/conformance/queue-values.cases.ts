import { assert } from "chai";
import * as v from "valibot";
import { z } from "zod";
import type { PayloadTooLargeError, Schema, ValidationError } from "../../src/memory.js";
import { cases } from "./case.js";
import { rejectsWith, rejectsWithRange } from "./expectations.js";
import { drain, nothing, take } from "./receiving.js";

/** A Standard Schema that counts how often it is asked, and may take its time. */
function counting(answer: (value: unknown) => unknown = (value) => value): Schema<unknown> & { calls: number } {
  const schema = {
    calls: 0,
    "~standard": {
      version: 1 as const,
      vendor: "conformance",
      validate: (value: unknown) => {
        schema.calls++;
        const result = answer(value);
        return result instanceof Promise ? result.then((settled: unknown) => ({ value: settled })) : { value: result };
      },
    },
  };
  return schema;
}

const anything = z.unknown();

/** Values that JSON can hold and that implementations like to change. */
const awkward: unknown[] = [
  [],
  {},
  null,
  false,
  0,
  "",
  "text",
  [[]],
  [{}],
  { a: [] },
  { a: {} },
  [null],
  Number.MAX_SAFE_INTEGER,
  -Number.MAX_SAFE_INTEGER,
  12345678901234568,
  1e21,
  0.1,
  5e-324,
  "äöü 漢字 😀",
  "\u0000\u001f\u2028\u2029",
  "\ud800",
  '{"a":1}',
  "undefined",
  { "": 1, "0": 2, a: { b: [1, [2, [3]]] } },
  JSON.parse('{"__proto__": 1}') as unknown,
];

/** What a payload goes through. */
export const queueValues = cases("queue", {
  "values come back as they were sent": async (world) => {
    const queue = world.queue({ id: world.id(), schema: anything });
    for (const data of awkward) {
      await queue.send({ data });
      const message = await take(queue);
      assert.strictEqual(JSON.stringify(message.data), JSON.stringify(data));
      assert.deepEqual(message.data, JSON.parse(JSON.stringify(data)) as unknown);
      await message.ack();
    }
  },

  "reference fault: payloads stay byte-equal through claim, redelivery and dead-lettering": async (world) => {
    const queue = world.queue({ id: world.id(), schema: anything });
    for (const data of awkward) {
      const text = JSON.stringify(data);
      await queue.send({ data, meta: data });
      assert.strictEqual((await queue.peek())[0]?.data, text);
      await (await take(queue)).nack();
      assert.strictEqual((await queue.peek())[0]?.data, text);
      const message = await take(queue);
      assert.strictEqual(JSON.stringify(message.meta), text);
      await message.nack({ deadLetter: true });
      const [dead] = (await queue.dlq.list()).entries;
      assert.strictEqual(JSON.stringify(dead!.data), text);
      assert.strictEqual(JSON.stringify(dead!.meta), text);
      await queue.dlq.redrive({ all: true });
      assert.strictEqual((await queue.peek())[0]?.data, text);
      await (await take(queue)).ack();
    }
  },

  "undefined as the whole payload comes back as undefined": async (world) => {
    const queue = world.queue({ id: world.id(), schema: z.undefined() });
    await queue.send({ data: undefined });
    assert.strictEqual((await queue.peek())[0]?.data, "");
    const message = await take(queue);
    assert.isUndefined(message.data);
    await message.nack({ deadLetter: true });
    const [dead] = (await queue.dlq.list()).entries;
    assert.isUndefined(dead!.data);
  },

  "values that JSON cannot hold at the top are refused": async (world) => {
    const queue = world.queue({ id: world.id(), schema: anything });
    const cycle: Record<string, unknown> = {};
    cycle["self"] = cycle;
    for (const data of [1n, { nested: 1n }, cycle, () => 1, Symbol("s")]) {
      await rejectsWith(queue.send({ data }), "VALIDATION");
      await rejectsWith(queue.send({ data: 1, meta: data }), "VALIDATION");
    }
    await nothing(queue);
  },

  "the rest follows JSON.stringify": async (world) => {
    const queue = world.queue({ id: world.id(), schema: anything });
    const data = {
      at: new Date(0),
      nan: Number.NaN,
      gone: undefined,
      run: () => 1,
      list: [undefined],
      map: new Map([[1, 2]]),
    };
    await queue.send({ data });
    assert.deepEqual((await take(queue)).data, { at: "1970-01-01T00:00:00.000Z", nan: null, list: [null], map: {} });
  },

  "mutating a value after sending it changes nothing": async (world) => {
    const queue = world.queue({ id: world.id(), schema: anything });
    const data = { list: [1] };
    const meta = { list: [1] };
    const sending = queue.send({ data, meta });
    data.list.push(2);
    meta.list.push(2);
    await sending;
    const message = await take(queue);
    assert.deepEqual(message.data, { list: [1] });
    assert.deepEqual(message.meta, { list: [1] });
  },

  "mutating a received value does not change its redelivery": async (world) => {
    const queue = world.queue({ id: world.id(), schema: z.object({ list: z.array(z.number()) }) });
    await queue.send({ data: { list: [1] }, meta: { list: [1] } });
    const first = await take(queue);
    first.data.list.push(2);
    (first.meta as { list: number[] }).list.push(2);
    await first.nack();
    const second = await take(queue);
    assert.deepEqual(second.data, { list: [1] });
    assert.deepEqual(second.meta, { list: [1] });
  },

  "meta is absent, null, or any JSON value": async (world) => {
    const queue = world.queue({ id: world.id(), schema: anything });
    await queue.send({ data: 1 });
    await queue.send({ data: 2, meta: null });
    await queue.send({ data: 3, meta: { trace: ["x"] } });
    assert.notProperty(await take(queue), "meta");
    assert.isNull((await take(queue)).meta);
    assert.deepEqual((await take(queue)).meta, { trace: ["x"] });
  },

  "reference fault: zod transforms are not run twice": async (world) => {
    const queue = world.queue({ id: world.id(), schema: z.string().transform(Number) });
    await queue.send({ data: "42" });
    assert.strictEqual((await queue.peek())[0]?.data, '"42"');
    assert.strictEqual((await take(queue)).data, 42);
  },

  "defaults are filled in by the read": async (world) => {
    const queue = world.queue({ id: world.id(), schema: z.object({ n: z.number().default(5) }) });
    await queue.send({ data: {} });
    assert.strictEqual((await queue.peek())[0]?.data, "{}");
    assert.deepEqual((await take(queue)).data, { n: 5 });
  },

  "valibot schemas work the same": async (world) => {
    const schema = v.object({
      at: v.pipe(
        v.string(),
        v.transform((text) => new Date(text)),
      ),
    });
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: { at: "2024-02-29T12:00:00.000Z" } });
    assert.strictEqual((await take(queue)).data.at.getTime(), Date.UTC(2024, 1, 29, 12));
    const error = await rejectsWith<ValidationError>(
      queue.send({ data: { at: 1 as unknown as string } }),
      "VALIDATION",
    );
    assert.deepEqual(error.issues[0]?.path, ["at"]);
  },

  "a write validates what JSON makes of the value, so that it can always be read": async (world) => {
    const queue = world.queue({ id: world.id(), schema: z.strictObject({ at: z.string() }) });
    await queue.send({ data: { at: new Date(0) as unknown as string, gone: undefined } as { at: string } });
    assert.deepEqual((await take(queue)).data, { at: "1970-01-01T00:00:00.000Z" });
  },

  "one validate call per write and per read": async (world) => {
    const schema = counting();
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: 1 });
    assert.strictEqual(schema.calls, 1);
    const message = await take(queue);
    assert.strictEqual(schema.calls, 2);
    await message.nack({ deadLetter: true });
    await queue.dlq.list();
    await queue.dlq.redrive({ all: true });
    assert.strictEqual(schema.calls, 2);
    await queue.sendMany([{ data: 2 }, { data: 3 }]);
    assert.strictEqual(schema.calls, 4);
    await queue.recvMany({ max: 3 });
    assert.strictEqual(schema.calls, 7);
  },

  "a value that does not fit rejects with its issues, before any effect": async (world) => {
    const queue = world.queue({ id: world.id(), schema: z.object({ user: z.object({ age: z.number() }) }) });
    const bad = { user: { age: "x" } } as unknown as { user: { age: number } };
    const error = await rejectsWith<ValidationError>(queue.send({ data: bad, idempotencyKey: "k" }), "VALIDATION");
    assert.instanceOf(error, world.entry.ValidationError);
    assert.instanceOf(error, world.entry.TabloomError);
    assert.strictEqual(error.name, "ValidationError");
    assert.isFalse(error.retryable);
    assert.lengthOf(error.issues, 1);
    assert.deepEqual(error.issues[0]?.path, ["user", "age"]);
    assert.isString(error.issues[0]?.message);
    assert.include(await queue.stats(), { depth: 0, idempotencyKeys: 0 });
  },

  "async schemas work for writes and reads": async (world) => {
    const schema = z.string().refine(async (text) => Promise.resolve(text !== "bad"));
    const queue = world.queue({ id: world.id(), schema });
    await rejectsWith(queue.send({ data: "bad" }), "VALIDATION");
    await queue.send({ data: "good" });
    assert.strictEqual((await take(queue)).data, "good");
  },

  "calls take effect in call order, also when a validation is asynchronous": async (world) => {
    let release!: () => void;
    const slow = new Promise<void>((resolve) => (release = resolve));
    const schema = counting((value) => (value === "slow" ? slow.then(() => value) : value));
    const queue = world.queue({ id: world.id(), schema });
    const sends = [queue.send({ data: "slow" }), queue.send({ data: "fast" }), queue.sendMany([{ data: "many" }])];
    const counted = queue.stats();
    release();
    await Promise.all(sends);
    assert.strictEqual((await counted).depth, 3);
    assert.deepEqual(
      (await queue.peek()).map(({ data }) => data),
      ['"slow"', '"fast"', '"many"'],
    );
  },

  "a failed validation does not let later calls overtake earlier ones": async (world) => {
    let release!: () => void;
    const slow = new Promise<void>((resolve) => (release = resolve));
    const schema = counting((value) => {
      if (value === "slow") return slow.then(() => value);
      return value === "bad" ? Promise.reject(new Error("no")) : value;
    });
    const queue = world.queue({ id: world.id(), schema });
    const first = queue.send({ data: "slow" });
    const failed = queue.send({ data: "bad" }).catch(() => "failed");
    const last = queue.send({ data: "last" });
    // Whatever could overtake has had the time to do so.
    await world.queue({ id: world.id(), schema: anything }).stats();
    release();
    await Promise.all([first, last]);
    assert.strictEqual(await failed, "failed");
    assert.deepEqual(
      (await queue.peek()).map(({ data }) => data),
      ['"slow"', '"last"'],
    );
  },

  "the size limit counts the UTF-8 bytes of data, meta and ordering key": async (world) => {
    const limitBytes = 30;
    const queue = world.queue({ id: world.id(), schema: z.string(), limits: { payloadBytes: limitBytes } });
    // 2 quotes + 4 × 4 bytes, meta 2 quotes + 2 bytes, key 8 bytes
    const fits = { data: "😀😀😀😀", meta: "ä", orderingKey: "12345678" };
    await queue.send(fits);
    const error = await rejectsWith<PayloadTooLargeError>(
      queue.send({ ...fits, orderingKey: "123456789" }),
      "PAYLOAD_TOO_LARGE",
    );
    assert.instanceOf(error, world.entry.PayloadTooLargeError);
    assert.strictEqual(error.name, "PayloadTooLargeError");
    assert.strictEqual(error.limitBytes, limitBytes);
    assert.strictEqual(error.actualBytes, limitBytes + 1);
    assert.isFalse(error.retryable);
    await rejectsWith(queue.send({ ...fits, meta: "äx" }), "PAYLOAD_TOO_LARGE");
    await rejectsWith(queue.send({ ...fits, data: "😀😀😀😀x" }), "PAYLOAD_TOO_LARGE");
    assert.strictEqual((await queue.stats()).depth, 1);
  },

  "payloads have 131,072 bytes by default": async (world) => {
    const queue = world.queue({ id: world.id(), schema: z.string() });
    await queue.send({ data: "x".repeat(131_070) });
    await rejectsWith(queue.send({ data: "x".repeat(131_071) }), "PAYLOAD_TOO_LARGE");
    assert.strictEqual((await take(queue)).data.length, 131_070);
  },

  "checks come in order: schema, ranges, size, capacity": async (world) => {
    const queue = world.queue({ id: world.id(), schema: z.string(), limits: { payloadBytes: 10, maxMessages: 1 } });
    await queue.send({ data: "a" });
    const wrong = 1 as unknown as string;
    await rejectsWith(queue.send({ data: wrong, delayMs: -1 }), "VALIDATION");
    await rejectsWithRange(queue.send({ data: "x".repeat(20), delayMs: -1 }));
    await rejectsWith(queue.send({ data: "x".repeat(20) }), "PAYLOAD_TOO_LARGE");
    await rejectsWith(queue.send({ data: "x" }), "CAPACITY");
  },

  "messages that the reader's schema refuses are dead-lettered as invalid": async (world) => {
    const id = world.id();
    const writer = world.queue({ id, schema: anything });
    await writer.send({ data: 1, meta: { m: 1 }, orderingKey: "k" });
    const reader = world.queue({ id, schema: z.string() });
    await nothing(reader);
    const [dead] = (await reader.dlq.list()).entries;
    assert.include(dead, { data: 1, reason: "invalid", attempts: 1, orderingKey: "k" });
    assert.deepEqual(dead!.meta, { m: 1 });
    assert.isString(dead!.lastError);
  },

  "recv goes on past bad messages": async (world) => {
    const id = world.id();
    const writer = world.queue({ id, schema: anything });
    const reader = world.queue({ id, schema: z.string() });
    await writer.sendMany([1, 2, 3, "good", 4, "better", 5].map((data) => ({ data })));
    assert.strictEqual((await take(reader)).data, "good");
    assert.deepEqual(await drain(reader), ["better"]);
    assert.lengthOf((await reader.dlq.list()).entries, 5);
  },

  "recvMany goes on past bad messages": async (world) => {
    const id = world.id();
    const writer = world.queue({ id, schema: anything });
    await writer.sendMany([1, 2, "good", "better"].map((data) => ({ data })));
    const messages = await world.queue({ id, schema: z.string() }).recvMany({ max: 2, wait: false });
    assert.deepEqual(
      messages.map(({ data }) => data),
      ["good", "better"],
    );
  },

  "a waiting recv goes on past bad messages": async (world) => {
    const id = world.id();
    const writer = world.queue({ id, schema: anything });
    const waiting = world.queue({ id, schema: z.string() }).recv({ timeoutMs: 20_000 });
    await writer.send({ data: 1 });
    await writer.send({ data: "good" });
    assert.strictEqual((await waiting)?.data, "good");
  },
});
