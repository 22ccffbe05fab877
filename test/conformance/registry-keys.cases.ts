import { assert } from "chai";
import { z } from "zod";
import type { RegistryCapacityError, RegistryPayloadTooLargeError } from "../../src/memory.js";
import { cases } from "./case.js";
import { keysOf } from "./entries.js";
import { rejectsWith, rejectsWithRange, throwsRange, throwsWith } from "./expectations.js";

const schema = z.string();

const GOOD_KEYS = [
  "a",
  "1/2/3/4/5/6/7/8",
  " ",
  "a b/ä😀",
  "x".repeat(512),
  "é".repeat(256),
  ".",
  "..",
  "{a}",
  "__proto__",
];
const BAD_KEYS = [
  "",
  "/",
  "/a",
  "a/",
  "a//b",
  "1/2/3/4/5/6/7/8/9",
  "a\0b",
  "x".repeat(513),
  "é".repeat(257),
  "\ud800",
  "a/\udc00",
  1 as never,
  undefined as never,
];

/** Names, bounds, tenants, closing. */
export const registryKeys = cases("registry", {
  "keys are 1 to 512 UTF-8 bytes in at most 8 segments": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    for (const key of GOOD_KEYS) {
      await registry.upsert({ key, value: key });
      assert.strictEqual((await registry.get({ key }))?.value, key);
    }
    assert.sameMembers(keysOf(await registry.list()), GOOD_KEYS);
    for (const key of GOOD_KEYS) assert.isTrue(await registry.remove({ key }), key);
  },

  "other keys are refused by every call": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    for (const key of BAD_KEYS) {
      await rejectsWith(registry.upsert({ key, value: "x" }), "VALIDATION");
      await rejectsWith(registry.create({ key, value: "x" }), "VALIDATION");
      await rejectsWith(registry.cas({ key, version: "1", value: "x" }), "VALIDATION");
      await rejectsWith(registry.touch({ key }), "VALIDATION");
      await rejectsWith(registry.remove({ key }), "VALIDATION");
      await rejectsWith(registry.get({ key }), "VALIDATION");
      await rejectsWith(registry.transact([{ op: "remove", key }]), "VALIDATION");
      if (key !== undefined) {
        await rejectsWith(registry.list({ afterKey: key }), "VALIDATION");
        throwsWith(() => registry.reader({ key }), "VALIDATION");
      }
    }
  },

  "reference fault: prefixes are checked": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    for (const prefix of ["", "/", "a", "a//", "/a/", "a\0/", "\ud800/", `${"x".repeat(512)}/`, 1 as never]) {
      await rejectsWith(registry.list({ prefix }), "VALIDATION");
      throwsWith(() => registry.reader({ prefix }), "VALIDATION");
    }
    throwsWith(() => registry.reader({ key: "a/b", prefix: "a/" }), "VALIDATION");
  },

  "a key that is a folder's name is not under it": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    const reader = registry.reader({ prefix: "a/b/" });
    for (const key of ["a", "a/b", "a/b/c", "a/b/c/d", "a/bc", "b/a/b/c"]) await registry.upsert({ key, value: key });
    assert.deepEqual(keysOf(await registry.list({ prefix: "a/b/" })), ["a/b/c", "a/b/c/d"]);
    assert.deepEqual(keysOf(await registry.list({ prefix: "a/" })), ["a/b", "a/b/c", "a/b/c/d", "a/bc"]);
    const seen: string[] = [];
    for await (const event of reader.stream({ wait: false })) if (event.type === "upsert") seen.push(event.entry.key);
    assert.deepEqual(seen, ["a/b/c", "a/b/c/d"]);
  },

  "limits and other options out of range are refused": async (world) => {
    const id = world.id();
    for (const bad of [0, -1, 1.5, Number.NaN, Infinity]) {
      for (const name of [
        "maxEntries",
        "maxPayloadBytes",
        "eventRetentionMs",
        "eventMaxLen",
        "tombstoneRetentionMs",
        "reconcileBatchSize",
      ]) {
        throwsRange(() => world.registry({ id, schema, limits: { [name]: bad } }));
      }
    }
    const registry = world.registry({ id, schema });
    for (const limit of [0, -1, 1.5, 1001]) await rejectsWithRange(registry.list({ limit }));
    await rejectsWith(registry.list({ status: "all" as never }), "VALIDATION");
    throwsWith(() => world.registry({ id: "", schema }), "VALIDATION");
  },

  "a value larger than maxPayloadBytes is refused with sizes": async (world) => {
    const registry = world.registry({ id: world.id(), schema, limits: { maxPayloadBytes: 10 } });
    await registry.upsert({ key: "k", value: "12345678" });
    const error = await rejectsWith<RegistryPayloadTooLargeError>(
      registry.upsert({ key: "k", value: "123456789" }),
      "PAYLOAD_TOO_LARGE",
    );
    assert.instanceOf(error, world.entry.RegistryPayloadTooLargeError);
    assert.instanceOf(error, world.entry.PayloadTooLargeError);
    assert.include(error, { limitBytes: 10, actualBytes: 11 });
    // UTF-8 bytes, and meta counts.
    await rejectsWith(registry.upsert({ key: "k", value: "ääääé" }), "PAYLOAD_TOO_LARGE");
    await rejectsWith(registry.upsert({ key: "k", value: "1234567", meta: 12 }), "PAYLOAD_TOO_LARGE");
    await rejectsWith(registry.create({ key: "new", value: "123456789" }), "PAYLOAD_TOO_LARGE");
    const { version } = (await registry.get({ key: "k" }))!;
    await rejectsWith(registry.cas({ key: "k", version, value: "123456789" }), "PAYLOAD_TOO_LARGE");
    assert.strictEqual((await registry.get({ key: "k" }))?.value, "12345678");
  },

  "a new key beyond maxEntries is refused, and nothing is dropped": async (world) => {
    const registry = world.registry({ id: world.id(), schema, limits: { maxEntries: 2 } });
    await registry.upsert({ key: "a", value: "x" });
    await registry.upsert({ key: "b", value: "x" });
    const error = await rejectsWith<RegistryCapacityError>(registry.upsert({ key: "c", value: "x" }), "CAPACITY");
    assert.instanceOf(error, world.entry.RegistryCapacityError);
    assert.include(error, { bound: "maxEntries", limit: 2, message: "maxEntries (2) reached" });
    await rejectsWith(registry.create({ key: "c", value: "x" }), "CAPACITY");
    assert.strictEqual((await registry.upsert({ key: "a", value: "y" })).value, "y");
    assert.isFalse((await registry.create({ key: "a", value: "z" })).ok);
    assert.deepEqual(keysOf(await registry.list()), ["a", "b"]);
    await registry.remove({ key: "b" });
    await registry.upsert({ key: "c", value: "x" });
  },

  "reference fault: what expired does not count towards capacity": async (world) => {
    const registry = world.registry({ id: world.id(), schema, limits: { maxEntries: 1 } });
    await registry.upsert({ key: "a", value: "x", ttlMs: 100 });
    await rejectsWith(registry.upsert({ key: "b", value: "x" }), "CAPACITY");
    await world.advance(100);
    await registry.upsert({ key: "b", value: "x" });
    assert.strictEqual((await registry.get({ key: "a", includeExpired: true }))?.status, "expired");
    await rejectsWith(registry.upsert({ key: "a", value: "x" }), "CAPACITY");
  },

  "checks come in order: key, schema, ranges, size, capacity": async (world) => {
    const registry = world.registry({ id: world.id(), schema, limits: { maxEntries: 1, maxPayloadBytes: 10 } });
    await registry.upsert({ key: "a", value: "x" });
    const long = "x".repeat(20);
    const key = await rejectsWith(registry.upsert({ key: "", value: 1 as never, ttlMs: 0 }), "VALIDATION");
    assert.include(key.message, "key");
    const value = await rejectsWith(registry.upsert({ key: "b", value: 1 as never, ttlMs: 0 }), "VALIDATION");
    assert.include(value.message, "schema");
    await rejectsWithRange(registry.upsert({ key: "b", value: long, ttlMs: 0 }));
    await rejectsWith(registry.upsert({ key: "b", value: long }), "PAYLOAD_TOO_LARGE");
    await rejectsWith(registry.upsert({ key: "b", value: "x" }), "CAPACITY");
  },

  "handles with the same id share everything; others share nothing": async (world) => {
    const id = world.id();
    await world.registry({ id, schema }).upsert({ key: "k", value: "x" });
    assert.strictEqual((await world.registry({ id, schema }).get({ key: "k" }))?.value, "x");
    assert.isNull(await world.registry({ id, schema, prefix: "other" }).get({ key: "k" }));
    assert.isNull(await world.registry({ id: `${id}/k`, schema }).get({ key: "k" }));
  },

  "every call takes a tenant": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    const tenantId = "t";
    const reader = registry.reader({ tenantId });
    const { version } = await registry.upsert({ key: "k", value: "x", ttlMs: 60_000, tenantId });
    assert.isNull(await registry.get({ key: "k" }));
    assert.isEmpty((await registry.list()).entries);
    assert.isFalse((await registry.touch({ key: "k" })).ok);
    assert.isFalse((await registry.cas({ key: "k", version, value: "y" })).ok);
    assert.isFalse(await registry.remove({ key: "k" }));
    assert.strictEqual((await registry.stats()).entries, 0);
    assert.isTrue((await registry.touch({ key: "k", tenantId })).ok);
    assert.isTrue((await registry.cas({ key: "k", version, value: "y", tenantId })).ok);
    assert.isFalse((await registry.create({ key: "k", value: "z", tenantId })).ok);
    assert.isTrue((await registry.transact([{ op: "upsert", key: "l", value: "z" }], { tenantId })).ok);
    assert.strictEqual((await registry.get({ key: "k", tenantId }))?.value, "y");
    assert.deepEqual(keysOf(await registry.list({ tenantId })), ["k", "l"]);
    assert.strictEqual((await registry.stats({ tenantId })).entries, 2);
    assert.isTrue(await registry.remove({ key: "k", tenantId }));
    const types: string[] = [];
    for await (const { type } of reader.stream({ wait: false })) types.push(type);
    assert.deepEqual(types, ["upsert", "touch", "upsert", "upsert", "delete"]);
    await rejectsWith(registry.get({ key: "k", tenantId: "" }), "VALIDATION");
  },

  "settings belong to the instance: a later handle's limits win": async (world) => {
    const id = world.id();
    const first = world.registry({ id, schema, limits: { maxEntries: 1 } });
    await first.upsert({ key: "a", value: "x" });
    const second = world.registry({ id, schema, limits: { maxEntries: 2 } });
    await second.stats();
    await first.upsert({ key: "b", value: "x" });
    await rejectsWith(second.upsert({ key: "c", value: "x" }), "CAPACITY");
  },

  "stats counts entries, tombstones and events": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    const empty = await registry.stats();
    assert.deepEqual(empty, { entries: 0, tombstones: 0, events: 0, cursor: empty.cursor });
    await registry.upsert({ key: "a", value: "x" });
    await registry.upsert({ key: "b", value: "x", ttlMs: 100 });
    await world.advance(100);
    const { cursor } = await registry.list();
    assert.deepEqual(await registry.stats(), { entries: 1, tombstones: 1, events: 3, cursor });
  },

  "a closed handle refuses calls and leaves others alone": async (world) => {
    const id = world.id();
    const registry = world.registry({ id, schema });
    const reader = registry.reader();
    await registry.upsert({ key: "k", value: "x" });
    await registry.close();
    await registry.close();
    await registry[Symbol.asyncDispose]();
    const calls = [
      () => registry.upsert({ key: "k", value: "x" }),
      () => registry.create({ key: "k", value: "x" }),
      () => registry.cas({ key: "k", version: "1", value: "x" }),
      () => registry.touch({ key: "k" }),
      () => registry.remove({ key: "k" }),
      () => registry.get({ key: "k" }),
      () => registry.list(),
      () => registry.transact([]),
      () => registry.stats(),
      () => registry.reader().recv(),
      () => registry.reader().stream().next(),
      () => reader.recv(),
    ];
    for (const call of calls) await rejectsWith(call(), "CLOSED");
    assert.strictEqual((await world.registry({ id, schema }).get({ key: "k" }))?.value, "x");
  },
});
