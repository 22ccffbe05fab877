import { assert } from "chai";
import { z } from "zod";
import { ONE_TAB, cases } from "./case.js";
import { briefly, eventsNow, keysOf, nextEvent } from "./entries.js";
import { rejectsWith } from "./expectations.js";

const schema = z.string();
const ttlMs = 60_000;

/** Entries that end with their tab or handle, and how handles end. */
export const ephemeralBound = cases("ephemeral", {
  "a bound entry is an entry like others": async (world) => {
    const ephemeral = world.ephemeral({ id: world.id(), schema, ttlMs });
    const entry = await ephemeral.upsert({ key: "a", value: "x", bound: "tab" });
    assert.hasAllKeys(entry, ["key", "value", "version", "createdAt", "updatedAt", "expiresAt"]);
    assert.deepEqual(await ephemeral.get({ key: "a" }), entry);
    await world.advance(ttlMs);
    assert.isNull(await ephemeral.get({ key: "a" }));
    await rejectsWith(ephemeral.upsert({ key: "a", value: "x", bound: "hub" as never }), "VALIDATION");
  },

  "closing a handle ends what is bound to it, and nothing else": async (world) => {
    const id = world.id();
    const ephemeral = world.ephemeral({ id, schema, ttlMs });
    const other = world.ephemeral({ id, schema, ttlMs });
    await ephemeral.upsert({ key: "bound", value: "x", bound: "tab" });
    await ephemeral.upsert({ key: "free", value: "x" });
    await other.upsert({ key: "other", value: "x", bound: "tab" });
    const reader = other.reader();
    await ephemeral.close();
    assert.deepEqual(keysOf(await other.snapshot()), ["free", "other"]);
    const [deletion, ...more] = await eventsNow(reader);
    assert.include(deletion, { type: "delete", key: "bound", reason: "closed" });
    assert.isEmpty(more);
  },

  "closing ends what was bound in every tenant, also by a call under way": async (world) => {
    const id = world.id();
    const slow = z.string().refine(async () => {
      // Long enough for close() to come before the value is checked.
      await new Promise((resolve) => setTimeout(resolve, 1));
      return true;
    });
    const ephemeral = world.ephemeral({ id, schema: slow, ttlMs });
    const other = world.ephemeral({ id, schema, ttlMs });
    await ephemeral.upsert({ key: "a", value: "x", bound: "tab", tenantId: "t" });
    const underWay = ephemeral.upsert({ key: "b", value: "x", bound: "tab" });
    await ephemeral.close();
    await underWay;
    assert.isEmpty((await other.snapshot()).entries);
    assert.isEmpty((await other.snapshot({ tenantId: "t" })).entries);
  },

  "who writes a key last decides to whom it is bound": async (world) => {
    const id = world.id();
    const first = world.ephemeral({ id, schema, ttlMs });
    const second = world.ephemeral({ id, schema, ttlMs });
    const third = world.ephemeral({ id, schema, ttlMs });
    for (const key of ["freed", "taken", "kept"]) await first.upsert({ key, value: "x", bound: "tab" });
    await second.upsert({ key: "freed", value: "y" });
    await second.upsert({ key: "taken", value: "y", bound: "tab" });
    await second.touch({ key: "kept" });
    await first.close();
    assert.deepEqual(keysOf(await third.snapshot()), ["freed", "taken"]);
    await second.close();
    assert.deepEqual(keysOf(await third.snapshot()), ["freed"]);
  },

  "a closed handle refuses calls and leaves others alone": async (world) => {
    const id = world.id();
    const ephemeral = world.ephemeral({ id, schema, ttlMs });
    const reader = ephemeral.reader();
    await ephemeral.upsert({ key: "a", value: "x" });
    await ephemeral.close();
    await ephemeral.close();
    await ephemeral[Symbol.asyncDispose]();
    const calls = [
      () => ephemeral.upsert({ key: "a", value: "x" }),
      () => ephemeral.touch({ key: "a" }),
      () => ephemeral.remove({ key: "a" }),
      () => ephemeral.get({ key: "a" }),
      () => ephemeral.snapshot(),
      () => ephemeral.stats(),
      () => ephemeral.reader().recv(),
      () => ephemeral.reader().stream().next(),
      () => reader.recv(),
    ];
    for (const call of calls) await rejectsWith(call(), "CLOSED");
    assert.strictEqual((await world.ephemeral({ id, schema, ttlMs }).get({ key: "a" }))?.value, "x");
  },

  "a handle can be closed before its first call, and after its backend": async (world) => {
    await world.ephemeral({ id: world.id(), schema, ttlMs }).close();
    const other = world.fresh();
    const ephemeral = other.ephemeral({ id: other.id(), schema, ttlMs });
    await ephemeral.upsert({ key: "a", value: "x", bound: "tab" });
    await other.close();
    await ephemeral.close();
    await rejectsWith(ephemeral.get({ key: "a" }), "CLOSED");
  },

  "a bound entry ends when its tab leaves": {
    skip: ONE_TAB,
    async run(world) {
      const id = world.id();
      const ephemeral = world.ephemeral({ id, schema, ttlMs });
      const other = world.tab();
      const theirs = other.ephemeral({ id, schema, ttlMs });
      await theirs.upsert({ key: "bound", value: "x", bound: "tab" });
      await theirs.upsert({ key: "free", value: "x" });
      const reader = ephemeral.reader();
      await ephemeral.stats();
      await other.close();
      assert.include(await nextEvent(reader), { type: "delete", key: "bound", reason: "tab_gone" });
      assert.deepEqual(keysOf(await ephemeral.snapshot()), ["free"]);
      assert.deepEqual(await briefly(reader), []);
    },
  },

  "an entry that another tab took over stays when the first one leaves": {
    skip: ONE_TAB,
    async run(world) {
      const id = world.id();
      const ephemeral = world.ephemeral({ id, schema, ttlMs });
      const other = world.tab();
      await other.ephemeral({ id, schema, ttlMs }).upsert({ key: "a", value: "x", bound: "tab" });
      await ephemeral.upsert({ key: "a", value: "y", bound: "tab" });
      await other.close();
      assert.strictEqual((await ephemeral.get({ key: "a" }))?.value, "y");
    },
  },
});
