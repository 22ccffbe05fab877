import { assert } from "chai";
import { z } from "zod";
import { cases } from "./case.js";
import { briefly, eventsNow, keysOf, nextEvent } from "./entries.js";
import { rejectsWith, rejectsWithRange } from "./expectations.js";

const schema = z.string();
const LONG = 2 ** 31 + 1000;

/** Time: expiry, tombstones; and transactions. */
export const registryExpiry = cases("registry", {
  "an expired key is gone for every operation": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    const { version } = await registry.upsert({ key: "k", value: "x", ttlMs: 1000 });
    await world.advance(1000);
    assert.isNull(await registry.get({ key: "k" }));
    assert.isEmpty((await registry.list()).entries);
    assert.isFalse((await registry.touch({ key: "k" })).ok);
    assert.isFalse((await registry.cas({ key: "k", version, value: "y" })).ok);
    assert.isFalse(await registry.remove({ key: "k" }));
    assert.strictEqual((await registry.stats()).entries, 0);
  },

  "an entry lasts up to its deadline": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    await registry.upsert({ key: "k", value: "x", ttlMs: 60_000 });
    // The backend's clock also runs by itself.
    await world.advance(50_000);
    assert.strictEqual((await registry.get({ key: "k" }))?.value, "x");
    await world.advance(10_000);
    assert.isNull(await registry.get({ key: "k" }));
  },

  "the expire event has the deadline as its time and comes before the operation's own": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    const reader = registry.reader();
    const { expiresAt, version } = await registry.upsert({ key: "k", value: "x", ttlMs: 1000 });
    await world.advance(5000);
    await registry.upsert({ key: "k", value: "y" });
    const [, expiry, upsert] = await eventsNow(reader);
    assert.deepEqual(expiry, { type: "expire", key: "k", version, expiredAt: expiresAt!, cursor: expiry!.cursor });
    assert.include(upsert, { type: "upsert" });
  },

  "entries expire in the order of their deadlines": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    await registry.upsert({ key: "late", value: "x", ttlMs: 3000 });
    await registry.upsert({ key: "early", value: "x", ttlMs: 1000 });
    await registry.upsert({ key: "moved", value: "x", ttlMs: 500 });
    await registry.upsert({ key: "moved", value: "x", ttlMs: 2000 });
    const reader = registry.reader();
    await world.advance(10_000);
    assert.deepEqual(await briefly(reader), ["expire early", "expire moved", "expire late"]);
  },

  "reference fault: expiry reaches a parked reader": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    const reader = registry.reader();
    await registry.upsert({ key: "k", value: "x", ttlMs: 30 });
    assert.strictEqual((await nextEvent(reader)).type, "upsert");
    // Nobody calls anything: the backend's own alarm must do it.
    assert.include(await nextEvent(reader), { type: "expire", key: "k" });
  },

  "reference fault: a ttl above 2^31−1 ms does not fire early": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    await registry.upsert({ key: "k", value: "x", ttlMs: LONG });
    await registry.upsert({ key: "max", value: "x", ttlMs: 2 ** 52 });
    await world.advance(LONG - 60_000);
    assert.deepEqual(keysOf(await registry.list()), ["k", "max"]);
    await world.advance(60_000);
    assert.deepEqual(keysOf(await registry.list()), ["max"]);
  },

  "a deadline that was moved does not fire at its old time": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    await registry.upsert({ key: "again", value: "x", ttlMs: 1000 });
    await registry.upsert({ key: "again", value: "y", ttlMs: 60_000 });
    await registry.upsert({ key: "sooner", value: "x", ttlMs: 60_000 });
    await registry.upsert({ key: "sooner", value: "y", ttlMs: 1000 });
    await registry.upsert({ key: "touched", value: "x", ttlMs: 60_000 });
    await world.advance(30_000);
    await registry.touch({ key: "touched" });
    assert.deepEqual(keysOf(await registry.list()), ["again", "touched"]);
    await world.advance(40_000);
    assert.deepEqual(keysOf(await registry.list()), ["touched"]);
  },

  "expired entries stay as tombstones with their last value": async (world) => {
    const registry = world.registry({ id: world.id(), schema, limits: { tombstoneRetentionMs: 5000 } });
    const entry = await registry.upsert({ key: "k", value: "x", ttlMs: 1000, meta: 1 });
    await world.advance(1000);
    const tombstone = { ...entry, status: "expired" as const };
    assert.deepEqual(await registry.get({ key: "k", includeExpired: true }), tombstone);
    assert.deepEqual((await registry.list({ status: "expired" })).entries, [tombstone]);
    await world.advance(5000);
    assert.isNull(await registry.get({ key: "k", includeExpired: true }));
    assert.isEmpty((await registry.list({ status: "expired" })).entries);
  },

  "reference fault: removed entries leave no tombstone": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    await registry.upsert({ key: "removed", value: "x" });
    await registry.remove({ key: "removed" });
    await registry.upsert({ key: "expired", value: "x", ttlMs: 1000 });
    await world.advance(1000);
    assert.isNull(await registry.get({ key: "removed", includeExpired: true }));
    assert.deepEqual(keysOf(await registry.list({ status: "expired" })), ["expired"]);
  },

  "get with includeExpired also gives what is active": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    const entry = await registry.upsert({ key: "k", value: "x" });
    assert.deepEqual(await registry.get({ key: "k", includeExpired: true }), entry);
    assert.isNull(await registry.get({ key: "none", includeExpired: true }));
  },

  "tombstones are listed by prefix and page; a new entry takes their place": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    for (const key of ["a/1", "a/2", "a/3", "b/1"]) await registry.upsert({ key, value: "x", ttlMs: 1000 });
    await world.advance(1000);
    await registry.upsert({ key: "a/2", value: "y" });
    const first = await registry.list({ status: "expired", prefix: "a/", limit: 1 });
    assert.deepEqual(keysOf(first), ["a/1"]);
    assert.strictEqual(first.nextKey, "a/1");
    const rest = await registry.list({ status: "expired", prefix: "a/", afterKey: "a/1" });
    assert.deepEqual(keysOf(rest), ["a/3"]);
    assert.deepEqual(keysOf(await registry.list()), ["a/2"]);
  },

  "a transaction makes all its changes, in order": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    const old = await registry.upsert({ key: "old", value: "x" });
    const swapped = await registry.upsert({ key: "swapped", value: "x", ttlMs: 60_000, meta: 1 });
    const reader = registry.reader();
    const done = await registry.transact([
      { op: "remove", key: "old", reason: "moved" },
      { op: "create", key: "new", value: "a", ttlMs: 1000, meta: { from: old.key } },
      { op: "cas", key: "swapped", version: swapped.version, value: "b" },
      { op: "upsert", key: "upserted", value: "c" },
      { op: "remove", key: "none" },
    ]);
    assert.isTrue(done.ok);
    if (!done.ok) return;
    const entries = await Promise.all(["new", "swapped", "upserted"].map((key) => registry.get({ key })));
    assert.deepEqual(done.entries, [null, ...entries, null]);
    assert.include(entries[1], { value: "b", ttlMs: 60_000, meta: 1 });
    const events = await eventsNow(reader);
    assert.deepEqual(
      events.map(({ type }) => type),
      ["delete", "upsert", "upsert", "upsert"],
    );
    assert.include(events[0], { reason: "moved" });
  },

  "a transaction that is refused leaves no trace": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    const { version } = await registry.upsert({ key: "k", value: "x" });
    const reader = registry.reader();
    const before = await registry.stats();
    const upsert = { op: "upsert", key: "new", value: "y" } as const;
    const refusals = [
      [{ op: "create", key: "k", value: "y" }, "exists"],
      [{ op: "cas", key: "k", version: "999", value: "y" }, "version"],
      [{ op: "cas", key: "none", version, value: "y" }, "missing"],
    ] as const;
    for (const [step, reason] of refusals) {
      const refused = await registry.transact([upsert, step, { op: "remove", key: "k" }]);
      assert.deepEqual(refused, { ok: false, index: 1, reason });
    }
    assert.deepEqual(await registry.stats(), before);
    assert.isEmpty(await eventsNow(reader));
    assert.strictEqual((await registry.get({ key: "k" }))?.version, version);
    // Versions are not used up either.
    const next = await registry.upsert({ key: "k", value: "z" });
    assert.strictEqual(Number(next.version), Number(version) + 1);
  },

  "the steps of a transaction see those before them": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    await registry.upsert({ key: "k", value: "x" });
    const replaced = await registry.transact([
      { op: "remove", key: "k" },
      { op: "create", key: "k", value: "y" },
    ]);
    assert.isTrue(replaced.ok);
    const twice = await registry.transact([
      { op: "create", key: "new", value: "a" },
      { op: "create", key: "new", value: "b" },
    ]);
    assert.deepEqual(twice, { ok: false, index: 1, reason: "exists" });
    const gone = await registry.transact([
      { op: "remove", key: "k" },
      { op: "cas", key: "k", version: "1", value: "z" },
    ]);
    assert.deepEqual(gone, { ok: false, index: 1, reason: "missing" });
    assert.deepEqual(keysOf(await registry.list()), ["k"]);
  },

  "a transaction is bounded by its outcome": async (world) => {
    const registry = world.registry({ id: world.id(), schema, limits: { maxEntries: 2, maxPayloadBytes: 10 } });
    await registry.upsert({ key: "a", value: "x" });
    await registry.upsert({ key: "b", value: "x" });
    const swap = await registry.transact([
      { op: "upsert", key: "c", value: "x" },
      { op: "remove", key: "a" },
    ]);
    assert.isTrue(swap.ok);
    const upserts = ["a", "b", "d"].map((key) => ({ op: "upsert" as const, key, value: "x" }));
    const full = await rejectsWith(registry.transact(upserts), "CAPACITY");
    assert.instanceOf(full, world.entry.RegistryCapacityError);
    const large = await rejectsWith(
      registry.transact([
        { op: "remove", key: "b" },
        { op: "upsert", key: "c", value: "x".repeat(20) },
      ]),
      "PAYLOAD_TOO_LARGE",
    );
    assert.instanceOf(large, world.entry.RegistryPayloadTooLargeError);
    assert.deepEqual(keysOf(await registry.list()), ["b", "c"]);
  },

  "a transaction has at most 1,000 steps, each of them valid": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    const steps = Array.from({ length: 1000 }, (_, i) => ({ op: "upsert" as const, key: `k/${i}`, value: "x" }));
    assert.isTrue((await registry.transact(steps)).ok);
    await rejectsWithRange(registry.transact([...steps, { op: "remove", key: "k/1" }]));
    const remove = { op: "remove", key: "k/1" } as const;
    await rejectsWith(registry.transact([remove, { op: "upsert", key: "", value: "x" }]), "VALIDATION");
    await rejectsWith(registry.transact([remove, { op: "upsert", key: "k", value: 1 as never }]), "VALIDATION");
    await rejectsWith(registry.transact([remove, { op: "put" as never, key: "k", value: "x" }]), "VALIDATION");
    await rejectsWith(registry.transact([remove, { op: "cas", key: "k", version: "", value: "x" }]), "VALIDATION");
    await rejectsWithRange(registry.transact([remove, { op: "create", key: "k", value: "x", ttlMs: 0 }]));
    assert.strictEqual((await registry.stats()).entries, 1000);
    assert.deepEqual(await registry.transact([]), { ok: true, entries: [] });
  },
});
