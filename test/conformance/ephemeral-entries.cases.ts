import { assert } from "chai";
import { z } from "zod";
import type { EphemeralCapacityError, EphemeralPayloadTooLargeError } from "../../src/memory.js";
import { cases } from "./case.js";
import { briefly, eventsNow, follow, keysOf, nextEvent } from "./entries.js";
import { rejectsWith, rejectsWithRange, throwsRange, throwsWith } from "./expectations.js";

const schema = z.string();
const ttlMs = 60_000;
const LONG = 2 ** 31 + 1000;

/** Entries that end by themselves. */
export const ephemeralEntries = cases("ephemeral", {
  "upsert makes an entry that ends after its ttl": async (world) => {
    const ephemeral = world.ephemeral({ id: world.id(), schema, ttlMs });
    const entry = await ephemeral.upsert({ key: "a", value: "x" });
    const { version, createdAt } = entry;
    assert.match(version, /^\d+$/);
    assert.deepEqual(entry, {
      key: "a",
      value: "x",
      version,
      createdAt,
      updatedAt: createdAt,
      expiresAt: createdAt + ttlMs,
    });
    assert.deepEqual(await ephemeral.get({ key: "a" }), entry);
    const short = await ephemeral.upsert({ key: "b", value: "x", ttlMs: 1000 });
    assert.strictEqual(short.expiresAt, short.updatedAt + 1000);
    await world.advance(1000);
    assert.isNull(await ephemeral.get({ key: "b" }));
    await world.advance(ttlMs);
    assert.isNull(await ephemeral.get({ key: "a" }));
  },

  "createdAt is kept by upsert and touch, and begins again after removal and expiry": async (world) => {
    const ephemeral = world.ephemeral({ id: world.id(), schema, ttlMs });
    const { createdAt } = await ephemeral.upsert({ key: "a", value: "x" });
    await world.advance(10);
    const second = await ephemeral.upsert({ key: "a", value: "y" });
    assert.strictEqual(second.createdAt, createdAt);
    assert.isAtLeast(second.updatedAt, createdAt + 10);
    await ephemeral.touch({ key: "a" });
    assert.strictEqual((await ephemeral.get({ key: "a" }))?.createdAt, createdAt);
    await ephemeral.remove({ key: "a" });
    const third = await ephemeral.upsert({ key: "a", value: "x" });
    assert.isAtLeast(third.createdAt, createdAt + 10);
    await world.advance(ttlMs);
    assert.isAtLeast((await ephemeral.upsert({ key: "a", value: "x" })).createdAt, third.createdAt + ttlMs);
  },

  "the version grows with upsert, touch, remove and expire": async (world) => {
    const ephemeral = world.ephemeral({ id: world.id(), schema, ttlMs });
    const reader = ephemeral.reader();
    const { version } = await ephemeral.upsert({ key: "a", value: "x" });
    const touched = await ephemeral.touch({ key: "a" });
    await ephemeral.remove({ key: "a" });
    await ephemeral.upsert({ key: "b", value: "x", ttlMs: 1000 });
    await world.advance(1000);
    const versions = (await eventsNow(reader)).map((event) =>
      Number(event.type === "upsert" ? event.entry.version : event.type === "overflow" ? 0 : event.version),
    );
    const first = Number(version);
    assert.deepEqual(versions, [first, first + 1, first + 2, first + 3, first + 4]);
    assert.strictEqual(Number(touched.version), first + 1);
  },

  "touch starts the ttl again, with another if given": async (world) => {
    const ephemeral = world.ephemeral({ id: world.id(), schema, ttlMs });
    const entry = await ephemeral.upsert({ key: "a", value: "x" });
    await world.advance(40_000);
    const touched = await ephemeral.touch({ key: "a" });
    assert.hasAllKeys(touched, ["ok", "version", "expiresAt"]);
    assert.isTrue(touched.ok);
    assert.isAtLeast(touched.expiresAt!, entry.expiresAt + 40_000);
    const found = await ephemeral.get({ key: "a" });
    assert.deepEqual(found, {
      ...entry,
      version: touched.version!,
      expiresAt: touched.expiresAt!,
      updatedAt: touched.expiresAt! - ttlMs,
    });
    await ephemeral.touch({ key: "a", ttlMs: 1000 });
    await world.advance(1000);
    assert.isNull(await ephemeral.get({ key: "a" }));
  },

  "reference fault: touch does not revive what is gone": async (world) => {
    const ephemeral = world.ephemeral({ id: world.id(), schema, ttlMs });
    assert.deepEqual(await ephemeral.touch({ key: "none" }), { ok: false });
    await ephemeral.upsert({ key: "removed", value: "x" });
    await ephemeral.remove({ key: "removed" });
    assert.deepEqual(await ephemeral.touch({ key: "removed" }), { ok: false });
    await ephemeral.upsert({ key: "expired", value: "x", ttlMs: 1000 });
    await world.advance(1000);
    assert.deepEqual(await ephemeral.touch({ key: "expired" }), { ok: false });
    assert.isEmpty((await ephemeral.snapshot()).entries);
  },

  "remove says whether there was an entry, and carries its reason": async (world) => {
    const ephemeral = world.ephemeral({ id: world.id(), schema, ttlMs });
    await ephemeral.upsert({ key: "a", value: "x" });
    await ephemeral.upsert({ key: "expired", value: "x", ttlMs: 1000 });
    await world.advance(1000);
    const reader = ephemeral.reader();
    assert.isTrue(await ephemeral.remove({ key: "a", reason: "left" }));
    for (const key of ["a", "expired", "none"]) assert.isFalse(await ephemeral.remove({ key }), key);
    const [deletion, ...more] = await eventsNow(reader);
    assert.include(deletion, { type: "delete", key: "a", reason: "left" });
    assert.isEmpty(more);
    await ephemeral.upsert({ key: "a", value: "x" });
    await rejectsWith(ephemeral.remove({ key: "a", reason: "x".repeat(65_537) }), "VALIDATION");
    await ephemeral.remove({ key: "a", reason: "" });
    assert.notProperty((await eventsNow(reader)).at(-1), "reason");
  },

  "an expired key is gone, and its expire event precedes the operation's own": async (world) => {
    const ephemeral = world.ephemeral({ id: world.id(), schema, ttlMs });
    const reader = ephemeral.reader();
    const { expiresAt } = await ephemeral.upsert({ key: "a", value: "x" });
    await ephemeral.upsert({ key: "b", value: "x", ttlMs: 1000 });
    await world.advance(2 * ttlMs);
    await ephemeral.upsert({ key: "a", value: "y" });
    const events = await eventsNow(reader);
    assert.deepEqual(
      events.map(({ type }) => type),
      ["upsert", "upsert", "expire", "expire", "upsert"],
    );
    assert.include(events[2], { key: "b" });
    assert.include(events[3], { key: "a", expiredAt: expiresAt });
  },

  "reference fault: expiry reaches a parked reader": async (world) => {
    const ephemeral = world.ephemeral({ id: world.id(), schema, ttlMs: 30 });
    const reader = ephemeral.reader();
    await ephemeral.upsert({ key: "a", value: "x" });
    assert.strictEqual((await nextEvent(reader)).type, "upsert");
    // Nobody calls anything: the backend's own alarm must do it.
    assert.include(await nextEvent(reader), { type: "expire", key: "a" });
  },

  "a ttl above 2^31−1 ms does not fire early": async (world) => {
    const ephemeral = world.ephemeral({ id: world.id(), schema, ttlMs: LONG });
    await ephemeral.upsert({ key: "a", value: "x" });
    await world.advance(LONG - ttlMs);
    assert.isNotNull(await ephemeral.get({ key: "a" }));
    await world.advance(ttlMs);
    assert.isNull(await ephemeral.get({ key: "a" }));
  },

  "heartbeats keep an entry alive": async (world) => {
    const ephemeral = world.ephemeral({ id: world.id(), schema, ttlMs });
    const reader = ephemeral.reader();
    await ephemeral.upsert({ key: "a", value: "x" });
    for (let i = 0; i < 5; i++) {
      await world.advance(ttlMs / 2);
      if (i % 2) assert.isTrue((await ephemeral.touch({ key: "a" })).ok);
      else await ephemeral.upsert({ key: "a", value: "x" });
    }
    assert.notInclude(
      (await eventsNow(reader)).map(({ type }) => type),
      "expire",
    );
  },

  "a snapshot is in code-point order": async (world) => {
    const ephemeral = world.ephemeral({ id: world.id(), schema, ttlMs });
    const ordered = ["/", "A", "a", "a//b", "aa", "ä", "\uff5e", "😀"];
    for (const key of [...ordered].reverse()) await ephemeral.upsert({ key, value: key });
    const snapshot = await ephemeral.snapshot();
    assert.deepEqual(keysOf(snapshot), ordered);
    assert.deepEqual(snapshot.entries[2], (await ephemeral.get({ key: "a" }))!);
  },

  "a snapshot by prefix holds keys that begin so": async (world) => {
    const ephemeral = world.ephemeral({ id: world.id(), schema, ttlMs });
    for (const key of ["room:1:ada", "room:1:bob", "room:12:eve", "room", "x"])
      await ephemeral.upsert({ key, value: "x" });
    assert.deepEqual(keysOf(await ephemeral.snapshot({ prefix: "room:1:" })), ["room:1:ada", "room:1:bob"]);
    assert.isEmpty((await ephemeral.snapshot({ prefix: "y" })).entries);
  },

  "a snapshot holds every entry, however many, and none that is over": async (world) => {
    const ephemeral = world.ephemeral({ id: world.id(), schema, ttlMs });
    await Promise.all(Array.from({ length: 3000 }, (_, i) => ephemeral.upsert({ key: `k${i}`, value: "x" })));
    await ephemeral.upsert({ key: "short", value: "x", ttlMs: 1000 });
    await world.advance(1000);
    assert.lengthOf((await ephemeral.snapshot()).entries, 3000);
  },

  "reference fault: a snapshot and the reader from its cursor miss nothing": async (world) => {
    const ephemeral = world.ephemeral({ id: world.id(), schema, ttlMs });
    for (const prefix of [undefined, "a/"]) {
      const scope = prefix === undefined ? {} : { prefix };
      for (const key of ["a/1", "a/2", "b/1"]) await ephemeral.upsert({ key, value: "old" });
      const writing = [
        ephemeral.upsert({ key: "a/1", value: "first" }),
        ephemeral.snapshot(scope),
        ephemeral.upsert({ key: "a/1", value: "second" }),
        ephemeral.remove({ key: "a/2" }),
        ephemeral.upsert({ key: "b/2", value: "new" }),
        ephemeral.upsert({ key: "a/3", value: "short", ttlMs: 1000 }),
      ] as const;
      const { entries, cursor } = await writing[1];
      await Promise.all(writing);
      await world.advance(1000);
      const held = new Map<string, unknown>(entries.map(({ key, value }) => [key, value]));
      for (const event of await eventsNow(ephemeral.reader({ ...scope, after: cursor }))) follow(held, event);
      const after = await ephemeral.snapshot(scope);
      assert.deepEqual(
        Object.fromEntries(held),
        Object.fromEntries(after.entries.map(({ key, value }) => [key, value])),
      );
      for (const { key } of (await ephemeral.snapshot()).entries) await ephemeral.remove({ key });
    }
  },

  "values that do not fit the schema are left out; get says what is wrong": async (world) => {
    const id = world.id();
    const loose = world.ephemeral({ id, schema: z.unknown(), ttlMs });
    const strict = world.ephemeral({ id, schema, ttlMs });
    const reader = strict.reader();
    await loose.upsert({ key: "bad", value: 1 });
    await loose.upsert({ key: "good", value: "x" });
    assert.deepEqual(keysOf(await strict.snapshot()), ["good"]);
    assert.deepEqual(await briefly(reader), ['upsert good "x"']);
    await rejectsWith(strict.get({ key: "bad" }), "VALIDATION");
  },

  "values are JSON copies, whatever they are": async (world) => {
    const ephemeral = world.ephemeral({ id: world.id(), schema: z.unknown(), ttlMs });
    const reader = ephemeral.reader();
    const values = [false, 0, "", null, [], {}, 1e21, "ä😀\u0000", { a: [{}] }, undefined];
    for (const [i, value] of values.entries()) {
      await ephemeral.upsert({ key: `k${i}`, value });
      assert.deepEqual((await ephemeral.get({ key: `k${i}` }))?.value, value);
    }
    assert.deepEqual(
      (await eventsNow(reader)).map((event) => event.type === "upsert" && event.entry.value),
      values as unknown[] as string[],
    );
    const value = { tags: ["a"] };
    const writing = ephemeral.upsert({ key: "mutable", value });
    value.tags.push("b");
    await writing;
    const read = (await ephemeral.get({ key: "mutable" }))!.value as { tags: string[] };
    read.tags.push("c");
    assert.deepEqual((await ephemeral.get({ key: "mutable" }))?.value, { tags: ["a"] });
  },

  "writes take the schema's input, reads give its output": async (world) => {
    const ephemeral = world.ephemeral({ id: world.id(), schema: z.string().transform((text) => text.length), ttlMs });
    const reader = ephemeral.reader();
    assert.strictEqual((await ephemeral.upsert({ key: "a", value: "four" })).value, 4);
    assert.strictEqual((await ephemeral.get({ key: "a" }))?.value, 4);
    assert.strictEqual((await ephemeral.snapshot()).entries[0]?.value, 4);
    const event = await nextEvent(reader);
    assert.strictEqual(event.type === "upsert" && event.entry.value, 4);
  },

  "keys are 1 to 512 UTF-8 bytes of well-formed Unicode": async (world) => {
    const ephemeral = world.ephemeral({ id: world.id(), schema, ttlMs });
    for (const key of ["a", "/", "a//b", "\0", "x".repeat(512), "é".repeat(256), "__proto__", "\n"]) {
      await ephemeral.upsert({ key, value: key });
      assert.strictEqual((await ephemeral.get({ key }))?.value, key);
    }
    for (const key of ["", "x".repeat(513), "é".repeat(257), "\ud800", 1 as never]) {
      await rejectsWith(ephemeral.upsert({ key, value: "x" }), "VALIDATION");
      await rejectsWith(ephemeral.touch({ key }), "VALIDATION");
      await rejectsWith(ephemeral.remove({ key }), "VALIDATION");
      await rejectsWith(ephemeral.get({ key }), "VALIDATION");
      await rejectsWith(ephemeral.snapshot({ prefix: key }), "VALIDATION");
      throwsWith(() => ephemeral.reader({ prefix: key }), "VALIDATION");
    }
  },

  "ttls and limits out of range are refused": async (world) => {
    const id = world.id();
    for (const bad of [0, -1, 1.5, Number.NaN, Infinity, "1" as never]) {
      throwsRange(() => world.ephemeral({ id, schema, ttlMs: bad }));
      for (const name of ["maxEntries", "maxPayloadBytes", "eventRetentionMs", "eventMaxLen"]) {
        throwsRange(() => world.ephemeral({ id, schema, ttlMs, limits: { [name]: bad } }));
      }
    }
    const ephemeral = world.ephemeral({ id, schema, ttlMs });
    for (const bad of [0, -1, 1.5, Number.NaN, Infinity]) {
      await rejectsWithRange(ephemeral.upsert({ key: "a", value: "x", ttlMs: bad }));
      await rejectsWithRange(ephemeral.touch({ key: "a", ttlMs: bad }));
    }
    assert.isEmpty((await ephemeral.snapshot()).entries);
  },

  "a value larger than maxPayloadBytes is refused with sizes": async (world) => {
    const ephemeral = world.ephemeral({ id: world.id(), schema, ttlMs, limits: { maxPayloadBytes: 10 } });
    await ephemeral.upsert({ key: "a", value: "12345678" });
    const error = await rejectsWith<EphemeralPayloadTooLargeError>(
      ephemeral.upsert({ key: "a", value: "ääääé" }),
      "PAYLOAD_TOO_LARGE",
    );
    assert.instanceOf(error, world.entry.EphemeralPayloadTooLargeError);
    assert.include(error, { limitBytes: 10, actualBytes: 12 });
    assert.strictEqual((await ephemeral.get({ key: "a" }))?.value, "12345678");
    const byDefault = world.ephemeral({ id: world.id(), schema, ttlMs });
    await byDefault.upsert({ key: "a", value: "x".repeat(4094) });
    await rejectsWith(byDefault.upsert({ key: "a", value: "x".repeat(4095) }), "PAYLOAD_TOO_LARGE");
  },

  "a new key beyond maxEntries is refused; what is over does not count": async (world) => {
    const ephemeral = world.ephemeral({ id: world.id(), schema, ttlMs, limits: { maxEntries: 2 } });
    await ephemeral.upsert({ key: "a", value: "x", ttlMs: 1000 });
    await ephemeral.upsert({ key: "b", value: "x" });
    const error = await rejectsWith<EphemeralCapacityError>(ephemeral.upsert({ key: "c", value: "x" }), "CAPACITY");
    assert.instanceOf(error, world.entry.EphemeralCapacityError);
    assert.include(error, { bound: "maxEntries", limit: 2, message: "maxEntries (2) reached" });
    await ephemeral.upsert({ key: "a", value: "y", ttlMs: 1000 });
    await world.advance(1000);
    await ephemeral.upsert({ key: "c", value: "x" });
    assert.deepEqual(keysOf(await ephemeral.snapshot()), ["b", "c"]);
  },

  "checks come in order: key, schema, ranges, size, capacity": async (world) => {
    const ephemeral = world.ephemeral({
      id: world.id(),
      schema,
      ttlMs,
      limits: { maxEntries: 1, maxPayloadBytes: 10 },
    });
    await ephemeral.upsert({ key: "a", value: "x" });
    const value = "x".repeat(20);
    const key = await rejectsWith(ephemeral.upsert({ key: "", value: 1 as never, ttlMs: 0 }), "VALIDATION");
    assert.include(key.message, "key");
    const wrong = await rejectsWith(ephemeral.upsert({ key: "b", value: 1 as never, ttlMs: 0 }), "VALIDATION");
    assert.include(wrong.message, "schema");
    await rejectsWithRange(ephemeral.upsert({ key: "b", value, ttlMs: 0 }));
    await rejectsWith(ephemeral.upsert({ key: "b", value }), "PAYLOAD_TOO_LARGE");
    await rejectsWith(ephemeral.upsert({ key: "b", value: "x" }), "CAPACITY");
  },

  "reference fault: handles with the same id share everything; other tenants and ids nothing": async (world) => {
    const id = world.id();
    const ephemeral = world.ephemeral({ id, schema, ttlMs });
    const other = world.ephemeral({ id, schema, ttlMs: 1000 });
    await ephemeral.upsert({ key: "a", value: "x" });
    assert.strictEqual((await other.get({ key: "a" }))?.value, "x");
    const tenantId = "t";
    const reader = ephemeral.reader({ tenantId });
    assert.isNull(await ephemeral.get({ key: "a", tenantId }));
    assert.isFalse((await ephemeral.touch({ key: "a", tenantId })).ok);
    assert.isFalse(await ephemeral.remove({ key: "a", tenantId }));
    await ephemeral.upsert({ key: "b", value: "y", tenantId });
    assert.deepEqual(keysOf(await ephemeral.snapshot({ tenantId })), ["b"]);
    assert.strictEqual((await ephemeral.stats({ tenantId })).entries, 1);
    assert.deepEqual(keysOf(await ephemeral.snapshot()), ["a"]);
    assert.deepEqual(await briefly(reader), ['upsert b "y"']);
    assert.isEmpty((await world.ephemeral({ id: `${id}:t`, schema, ttlMs }).snapshot()).entries);
  },

  "stats counts entries and events": async (world) => {
    const ephemeral = world.ephemeral({ id: world.id(), schema, ttlMs });
    const { cursor: empty } = await ephemeral.snapshot();
    assert.deepEqual(await ephemeral.stats(), { entries: 0, events: 0, cursor: empty });
    await ephemeral.upsert({ key: "a", value: "x", ttlMs: 1000 });
    await ephemeral.upsert({ key: "b", value: "x" });
    await world.advance(1000);
    const { cursor } = await ephemeral.snapshot();
    assert.deepEqual(await ephemeral.stats(), { entries: 1, events: 3, cursor });
  },
});
