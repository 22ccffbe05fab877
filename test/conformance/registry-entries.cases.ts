import { assert } from "chai";
import { z } from "zod";
import type { RegistryEntry, Schema } from "../../src/memory.js";
import { cases } from "./case.js";
import { eventsNow } from "./entries.js";
import { rejectsWith, rejectsWithRange } from "./expectations.js";

const schema = z.string();
const MINUTE = 60_000;

const times = ({ updatedAt, expiresAt }: RegistryEntry<string>): object => ({ updatedAt, expiresAt });

/** One entry: how it is made, changed, read and removed. */
export const registryEntries = cases("registry", {
  "upsert makes an entry and gives it back": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    const entry = await registry.upsert({ key: "a/b", value: "x" });
    const { version, createdAt } = entry;
    assert.match(version, /^\d+$/);
    assert.isNumber(createdAt);
    const expected = { key: "a/b", value: "x", version, status: "active", createdAt, updatedAt: createdAt };
    assert.deepEqual(entry, { ...expected, ttlMs: null, expiresAt: null } as typeof entry);
    assert.deepEqual(await registry.get({ key: "a/b" }), entry);
  },

  "upsert replaces value, meta and ttl; createdAt survives it": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    const first = await registry.upsert({ key: "k", value: "x", meta: { by: "ada" }, ttlMs: MINUTE });
    assert.deepEqual(first.meta, { by: "ada" });
    assert.include(first, { ttlMs: MINUTE, expiresAt: first.createdAt + MINUTE });
    await world.advance(10);
    const second = await registry.upsert({ key: "k", value: "y" });
    assert.include(second, { value: "y", createdAt: first.createdAt, ttlMs: null, expiresAt: null });
    assert.isAtLeast(second.updatedAt, first.updatedAt + 10);
    assert.notProperty(second, "meta");
    assert.deepEqual(await registry.get({ key: "k" }), second);
  },

  "upsert without ttl makes an entry static": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    await registry.upsert({ key: "k", value: "x", ttlMs: MINUTE });
    await registry.upsert({ key: "k", value: "y" });
    await world.advance(2 * MINUTE);
    assert.strictEqual((await registry.get({ key: "k" }))?.value, "y");
  },

  "createdAt begins again after removal and after expiry": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    const first = await registry.upsert({ key: "k", value: "x" });
    await world.advance(10);
    await registry.remove({ key: "k" });
    const second = await registry.upsert({ key: "k", value: "x", ttlMs: 100 });
    assert.isAtLeast(second.createdAt, first.createdAt + 10);
    await world.advance(100);
    const third = await registry.upsert({ key: "k", value: "x" });
    assert.isAtLeast(third.createdAt, second.createdAt + 100);
  },

  "the version grows with upsert and cas only": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    const first = await registry.upsert({ key: "a", value: "x", ttlMs: MINUTE });
    const { version: touched } = await registry.touch({ key: "a" });
    assert.strictEqual(touched, first.version);
    assert.strictEqual((await registry.get({ key: "a" }))?.version, first.version);
    await registry.remove({ key: "a" });
    await registry.remove({ key: "a" });
    const second = await registry.upsert({ key: "b", value: "x" });
    assert.strictEqual(Number(second.version), Number(first.version) + 1);
    const { entry: third } = await registry.cas({ key: "b", version: second.version, value: "y" });
    assert.strictEqual(Number(third?.version), Number(second.version) + 1);
    await registry.cas({ key: "b", version: second.version, value: "z" });
    assert.strictEqual(Number((await registry.upsert({ key: "a", value: "x" })).version), Number(third?.version) + 1);
  },

  "delete and expire events carry the entry's last version": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    const reader = registry.reader();
    const removed = await registry.upsert({ key: "removed", value: "x" });
    const expired = await registry.upsert({ key: "expired", value: "x", ttlMs: 100 });
    await registry.remove({ key: "removed" });
    await world.advance(100);
    const [, , deletion, expiry] = await eventsNow(reader);
    assert.include(deletion, { type: "delete", version: removed.version });
    assert.include(expiry, { type: "expire", version: expired.version, expiredAt: expired.expiresAt! });
  },

  "create makes an entry only where there is none": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    const made = await registry.create({ key: "k", value: "x", ttlMs: MINUTE, meta: 1 });
    assert.isTrue(made.ok);
    assert.include(made.entry, { value: "x", ttlMs: MINUTE, meta: 1 });
    const refused = await registry.create({ key: "k", value: "y" });
    assert.deepEqual(refused, { ok: false, entry: made.entry! });
    assert.deepEqual(await registry.get({ key: "k" }), made.entry!);
    await registry.remove({ key: "k" });
    assert.isTrue((await registry.create({ key: "k", value: "y" })).ok);
  },

  "create takes the place of an expired entry": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    await registry.upsert({ key: "k", value: "x", ttlMs: 100 });
    await world.advance(100);
    const { ok, entry } = await registry.create({ key: "k", value: "y" });
    assert.isTrue(ok);
    assert.include(entry, { value: "y", status: "active" });
  },

  "of concurrent creates one wins": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    const replies = await Promise.all(["a", "b", "c"].map((value) => registry.create({ key: "k", value })));
    assert.deepEqual(
      replies.map(({ ok }) => ok),
      [true, false, false],
    );
    for (const { entry } of replies) assert.strictEqual(entry?.value, "a");
  },

  "cas replaces the version that it names": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    const first = await registry.upsert({ key: "k", value: "x" });
    const second = await registry.cas({ key: "k", version: first.version, value: "y" });
    assert.isTrue(second.ok);
    assert.include(second.entry, { value: "y", createdAt: first.createdAt });
    assert.deepEqual(await registry.get({ key: "k" }), second.entry!);
    assert.deepEqual(await registry.cas({ key: "k", version: first.version, value: "z" }), { ok: false });
    assert.strictEqual((await registry.get({ key: "k" }))?.value, "y");
  },

  "cas fails for a key that is absent, removed or expired": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    assert.deepEqual(await registry.cas({ key: "none", version: "1", value: "x" }), { ok: false });
    const removed = await registry.upsert({ key: "removed", value: "x" });
    await registry.remove({ key: "removed" });
    assert.isFalse((await registry.cas({ key: "removed", version: removed.version, value: "y" })).ok);
    const expired = await registry.upsert({ key: "expired", value: "x", ttlMs: 100 });
    await world.advance(100);
    assert.isFalse((await registry.cas({ key: "expired", version: expired.version, value: "y" })).ok);
  },

  "reference fault: cas restarts the full original ttl": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    const { version } = await registry.upsert({ key: "k", value: "x", ttlMs: MINUTE });
    await world.advance(40_000);
    const { entry } = await registry.cas({ key: "k", version, value: "y" });
    assert.include(entry, { ttlMs: MINUTE, expiresAt: entry!.updatedAt + MINUTE });
    await world.advance(40_000);
    assert.strictEqual((await registry.get({ key: "k" }))?.value, "y");
  },

  "cas keeps meta unless it is given another": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    const first = await registry.upsert({ key: "k", value: "x", meta: "one" });
    const { entry: second } = await registry.cas({ key: "k", version: first.version, value: "y" });
    assert.strictEqual(second?.meta, "one");
    const { entry: third } = await registry.cas({ key: "k", version: second!.version, value: "z", meta: "two" });
    assert.strictEqual(third?.meta, "two");
    assert.deepEqual(await registry.get({ key: "k" }), third!);
  },

  "cas takes an entry as it was read": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    for (const ttlMs of [{}, { ttlMs: MINUTE }]) {
      const entry = await registry.upsert({ key: "k", value: "x", meta: 1, ...ttlMs });
      const { entry: next } = await registry.cas({ ...entry, value: "y" });
      assert.deepEqual(next, { ...entry, value: "y", version: next!.version, ...times(next!) });
    }
  },

  "of concurrent cas one wins": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    const { version } = await registry.upsert({ key: "k", value: "0" });
    const replies = await Promise.all(["a", "b"].map((value) => registry.cas({ key: "k", version, value })));
    assert.deepEqual(
      replies.map(({ ok }) => ok),
      [true, false],
    );
  },

  "an empty version is refused": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    await registry.upsert({ key: "k", value: "x" });
    await rejectsWith(registry.cas({ key: "k", version: "", value: "y" }), "VALIDATION");
    await rejectsWith(registry.cas({ key: "k", version: 1 as never, value: "y" }), "VALIDATION");
  },

  "touch starts the ttl again and moves updatedAt": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    const entry = await registry.upsert({ key: "k", value: "x", ttlMs: MINUTE });
    await world.advance(40_000);
    const touched = await registry.touch({ key: "k" });
    assert.deepEqual(touched, { ok: true, version: entry.version, expiresAt: touched.expiresAt! });
    assert.isAtLeast(touched.expiresAt!, entry.expiresAt! + 40_000);
    await world.advance(40_000);
    const found = await registry.get({ key: "k" });
    assert.include(found, { value: "x", expiresAt: touched.expiresAt!, createdAt: entry.createdAt });
    assert.strictEqual(found?.updatedAt, touched.expiresAt! - MINUTE);
  },

  "touch fails for a key that is absent, expired or static": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    await registry.upsert({ key: "static", value: "x" });
    await registry.upsert({ key: "expired", value: "x", ttlMs: 100 });
    await world.advance(100);
    for (const key of ["static", "expired", "none"])
      assert.deepEqual(await registry.touch({ key }), { ok: false }, key);
  },

  "remove says whether there was an entry": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    await registry.upsert({ key: "k", value: "x" });
    await registry.upsert({ key: "expired", value: "x", ttlMs: 100 });
    await world.advance(100);
    await rejectsWith(registry.remove({ key: "k", reason: "x".repeat(65_537) }), "VALIDATION");
    assert.isTrue(await registry.remove({ key: "k", reason: "old" }));
    assert.isFalse(await registry.remove({ key: "k" }));
    assert.isFalse(await registry.remove({ key: "expired" }));
    assert.isFalse(await registry.remove({ key: "none" }));
    assert.isNull(await registry.get({ key: "k" }));
  },

  "reference fault: false and other plain values are values": async (world) => {
    const registry = world.registry({ id: world.id(), schema: z.unknown() });
    const values = [false, 0, "", null, [], {}, [[]], 9007199254740991, 1e21, 0.1, "ä😀\u0000", { a: { b: [1] } }];
    for (const [i, value] of values.entries()) {
      const made = await registry.upsert({ key: `k/${i}`, value });
      assert.deepEqual(made.value, value);
      assert.deepEqual((await registry.get({ key: `k/${i}` }))?.value, value);
    }
    assert.sameDeepMembers(
      (await registry.list()).entries.map(({ value }) => value),
      values,
    );
  },

  "undefined is a value, too": async (world) => {
    const registry = world.registry({ id: world.id(), schema: z.undefined() });
    const reader = registry.reader();
    await registry.upsert({ key: "k", value: undefined });
    const entry = await registry.get({ key: "k" });
    assert.property(entry, "value");
    assert.isUndefined(entry!.value);
    assert.lengthOf((await registry.list()).entries, 1);
    assert.lengthOf(await eventsNow(reader), 1);
  },

  "a value is a copy in both directions": async (world) => {
    const registry = world.registry({ id: world.id(), schema: z.object({ tags: z.array(z.string()) }) });
    const value = { tags: ["a"] };
    const writing = registry.upsert({ key: "k", value });
    value.tags.push("b");
    const made = await writing;
    assert.deepEqual(made.value, { tags: ["a"] });
    made.value.tags.push("c");
    const read = await registry.get({ key: "k" });
    assert.deepEqual(read?.value, { tags: ["a"] });
    read!.value.tags.push("d");
    assert.deepEqual((await registry.list()).entries[0]?.value, { tags: ["a"] });
  },

  "writes take the schema's input, reads give its output": async (world) => {
    let validated = 0;
    const counting = z
      .string()
      .refine(() => ++validated > 0)
      .transform((text) => text.length);
    const registry = world.registry({ id: world.id(), schema: counting });
    assert.strictEqual((await registry.upsert({ key: "k", value: "four" })).value, 4);
    assert.strictEqual(validated, 1);
    assert.strictEqual((await registry.get({ key: "k" }))?.value, 4);
    assert.strictEqual(validated, 2);
    assert.strictEqual((await registry.list()).entries[0]?.value, 4);
    assert.strictEqual(validated, 3);
  },

  "an async schema keeps calls in order and validates once": async (world) => {
    let validated = 0;
    const validate = async (value: unknown): Promise<{ value: string }> => {
      validated++;
      // The first takes longer than the second.
      await new Promise((resolve) => setTimeout(resolve, value === "slow" ? 5 : 0));
      return { value: String(value) };
    };
    const slow: Schema<string, string> = { "~standard": { version: 1, vendor: "this case", validate } };
    const registry = world.registry({ id: world.id(), schema: slow });
    await Promise.all([registry.upsert({ key: "k", value: "slow" }), registry.upsert({ key: "k", value: "quick" })]);
    assert.strictEqual(validated, 2);
    assert.deepEqual(
      (await registry.list()).entries.map(({ value }) => value),
      ["quick"],
    );
    assert.strictEqual(validated, 3);
    const removing = registry.upsert({ key: "k", value: "slow" });
    assert.isTrue(await registry.remove({ key: "k" }));
    await removing;
    assert.isNull(await registry.get({ key: "k" }));
  },

  "what does not fit the schema, or JSON, changes nothing": async (world) => {
    const registry = world.registry({ id: world.id(), schema: z.unknown() });
    const strict = world.registry({ id: world.id(), schema });
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    for (const value of [1n, cycle, () => 1, Symbol("s")]) {
      await rejectsWith(registry.upsert({ key: "k", value }), "VALIDATION");
    }
    await rejectsWith(registry.upsert({ key: "k", value: 1, meta: 1n }), "VALIDATION");
    await rejectsWith(strict.upsert({ key: "k", value: 1 as never }), "VALIDATION");
    await rejectsWith(strict.create({ key: "k", value: 1 as never }), "VALIDATION");
    assert.isEmpty((await registry.list()).entries);
    assert.isEmpty((await strict.list()).entries);
  },

  "stored values that no longer fit are left out; get says what is wrong": async (world) => {
    const id = world.id();
    const loose = world.registry({ id, schema: z.unknown() });
    const strict = world.registry({ id, schema });
    const reader = strict.reader();
    await loose.upsert({ key: "bad", value: 1 });
    await loose.upsert({ key: "good", value: "x" });
    assert.deepEqual(
      (await strict.list()).entries.map(({ key }) => key),
      ["good"],
    );
    assert.deepEqual(
      (await eventsNow(reader)).map((event) => event.type === "upsert" && event.entry.key),
      ["good"],
    );
    await rejectsWith(strict.get({ key: "bad" }), "VALIDATION");
    assert.deepEqual(await strict.create({ key: "bad", value: "y" }), { ok: false });
    assert.strictEqual((await strict.upsert({ key: "bad", value: "mended" })).value, "mended");
  },

  "a page may end with an entry that is left out": async (world) => {
    const id = world.id();
    const loose = world.registry({ id, schema: z.unknown() });
    const strict = world.registry({ id, schema });
    for (const [key, value] of Object.entries({ a: "x", b: 1, c: "y" })) await loose.upsert({ key, value });
    const first = await strict.list({ limit: 2 });
    assert.deepEqual(
      first.entries.map(({ key }) => key),
      ["a"],
    );
    assert.strictEqual(first.nextKey, "b");
    const second = await strict.list({ limit: 2, afterKey: first.nextKey! });
    assert.deepEqual(
      second.entries.map(({ key }) => key),
      ["c"],
    );
  },

  "ttls out of range are refused": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    for (const ttlMs of [0, -1, 1.5, Number.NaN, Infinity, "1" as never]) {
      await rejectsWithRange(registry.upsert({ key: "k", value: "x", ttlMs }));
      await rejectsWithRange(registry.create({ key: "k", value: "x", ttlMs }));
    }
    assert.isEmpty((await registry.list()).entries);
  },
});
