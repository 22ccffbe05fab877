import { assert } from "chai";
import { z } from "zod";
import type { Registry } from "../../src/memory.js";
import { cases } from "./case.js";
import { follow, keysOf } from "./entries.js";
import { rejectsWith } from "./expectations.js";

const schema = z.string();

async function fill(registry: Registry<typeof schema>, keys: readonly string[]): Promise<void> {
  for (let i = 0; i < keys.length; i += 1000) {
    const steps = keys.slice(i, i + 1000).map((key) => ({ op: "upsert" as const, key, value: key }));
    assert.isTrue((await registry.transact(steps)).ok);
  }
}

/** Every key, page by page. */
async function pages(
  registry: Registry<typeof schema>,
  options: { limit: number; prefix?: string; status?: "active" | "expired" },
): Promise<string[][]> {
  const all: string[][] = [];
  let afterKey: string | undefined;
  do {
    const page = await registry.list({ ...options, ...(afterKey === undefined ? {} : { afterKey }) });
    all.push(keysOf(page));
    afterKey = page.nextKey;
  } while (afterKey !== undefined);
  return all;
}

/** Order, pages, prefixes, and what a page's cursor is good for; reading from the cache. */
export const registryList = cases("registry", {
  "reference fault: a list is in code-point order, in every page and between them": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    // UTF-16 units would put the emoji before U+FF5E; a locale would mix upper and lower case.
    const ordered = ["A", "B", "a", "a b", "a/b", "a0", "aa", "b", "~", "ä", "\uff5e", "😀", "😀a", "😁"];
    await fill(registry, [...ordered].reverse());
    assert.deepEqual(keysOf(await registry.list()), ordered);
    for (const limit of [1, 3, 14]) assert.deepEqual((await pages(registry, { limit })).flat(), ordered);
  },

  "reference fault: nextKey is the last key of the page, and no entry is skipped": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    await fill(registry, ["a", "b", "c", "d", "e"]);
    const first = await registry.list({ limit: 2 });
    assert.deepEqual(keysOf(first), ["a", "b"]);
    assert.strictEqual(first.nextKey, "b");
    assert.deepEqual(await pages(registry, { limit: 2 }), [["a", "b"], ["c", "d"], ["e"]]);
  },

  "there is no nextKey when nothing follows": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    assert.notProperty(await registry.list(), "nextKey");
    await fill(registry, ["a", "b"]);
    assert.notProperty(await registry.list({ limit: 2 }), "nextKey");
    assert.notProperty(await registry.list({ limit: 1, afterKey: "a" }), "nextKey");
  },

  "afterKey need not be there": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    await fill(registry, ["a", "c"]);
    assert.deepEqual(keysOf(await registry.list({ afterKey: "b" })), ["c"]);
    const { nextKey } = await registry.list({ limit: 1 });
    await registry.remove({ key: nextKey! });
    assert.deepEqual(keysOf(await registry.list({ afterKey: nextKey! })), ["c"]);
    assert.isEmpty((await registry.list({ afterKey: "z" })).entries);
  },

  "a list by prefix holds what is under it": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    await fill(registry, ["a/1", "a/2", "a/2/x", "a", "a0", "b/1", "a/😀"]);
    assert.deepEqual(keysOf(await registry.list({ prefix: "a/" })), ["a/1", "a/2", "a/2/x", "a/😀"]);
    assert.deepEqual(await pages(registry, { prefix: "a/", limit: 3 }), [["a/1", "a/2", "a/2/x"], ["a/😀"]]);
    assert.isEmpty((await registry.list({ prefix: "c/" })).entries);
    assert.isEmpty((await registry.list({ prefix: "a/1/" })).entries);
  },

  "afterKey must be under the prefix": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    await rejectsWith(registry.list({ prefix: "a/", afterKey: "b/1" }), "VALIDATION");
    await rejectsWith(registry.list({ prefix: "a/", afterKey: "a" }), "VALIDATION");
  },

  "a page has at most 1,000 entries, which is the default": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    const keys = Array.from({ length: 1500 }, (_, i) => `k/${String(i).padStart(4, "0")}`);
    await fill(registry, keys);
    const first = await registry.list();
    assert.lengthOf(first.entries, 1000);
    const second = await registry.list({ afterKey: first.nextKey! });
    assert.deepEqual([...keysOf(first), ...keysOf(second)], keys);
  },

  "keys come and go in the middle of many": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    const keys = Array.from({ length: 2000 }, (_, i) => `k/${(i * 7919) % 2000}`);
    await fill(registry, keys);
    const removed = keys.filter((_, i) => i % 3 > 0);
    for (let i = 0; i < removed.length; i += 1000) {
      await registry.transact(removed.slice(i, i + 1000).map((key) => ({ op: "remove" as const, key })));
    }
    const left = keys.filter((_, i) => i % 3 === 0).sort();
    assert.deepEqual((await pages(registry, { limit: 100 })).flat(), left);
  },

  "a page's cursor and the reader of its scope miss nothing": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    for (const scope of [{}, { prefix: "a/" }]) {
      await fill(registry, ["a/1", "a/2", "b/1"]);
      const { entries, cursor } = await registry.list(scope);
      const held = new Map<string, unknown>(entries.map(({ key, value }) => [key, value]));
      await registry.upsert({ key: "a/1", value: "changed" });
      await registry.remove({ key: "a/2" });
      await registry.upsert({ key: "b/2", value: "new" });
      const reader = registry.reader({ ...scope, after: cursor });
      await registry.upsert({ key: "a/3", value: "new", ttlMs: 60_000 });
      for await (const event of reader.stream({ wait: false })) follow(held, event);
      const after = await registry.list(scope);
      assert.deepEqual(
        Object.fromEntries(held),
        Object.fromEntries(after.entries.map(({ key, value }) => [key, value])),
      );
      for (const key of ["a/3", "b/2"]) await registry.remove({ key });
    }
  },

  "reference fault: the cursor of a prefix counts with the same log as its reader": async (world) => {
    const registry = world.registry({ id: world.id(), schema });
    for (let i = 0; i < 5; i++) await registry.upsert({ key: "other", value: "x" });
    const { cursor } = await registry.list({ prefix: "a/" });
    await registry.upsert({ key: "a/1", value: "x" });
    const reader = registry.reader({ prefix: "a/", after: cursor });
    assert.strictEqual((await reader.recv({ wait: false }))?.type, "upsert");
    assert.isNull(await reader.recv({ wait: false }));
  },

  "cache: values are parsed once and handed out deep-frozen": async (world) => {
    let validated = 0;
    const counting = z.object({ tags: z.array(z.string()) }).refine(() => ++validated > 0);
    const id = world.id();
    await world.registry({ id, schema: counting }).upsert({ key: "k", value: { tags: ["a"] }, meta: { m: [] } });
    const registry = world.registry({ id, schema: counting, cache: true });
    validated = 0;
    const first = await registry.get({ key: "k" });
    const second = await registry.get({ key: "k" });
    const [third] = (await registry.list()).entries;
    assert.strictEqual(validated, 1);
    assert.strictEqual(second?.value, first?.value);
    assert.strictEqual(third?.value, first?.value);
    assert.deepEqual(first?.value, { tags: ["a"] });
    assert.isFrozen(first!.value);
    assert.isFrozen(first!.value.tags);
    assert.isFrozen((first!.meta as { m: unknown }).m);
  },

  "cache: another version is another value": async (world) => {
    const id = world.id();
    const registry = world.registry({ id, schema, cache: true });
    const other = world.registry({ id, schema });
    await registry.upsert({ key: "k", value: "x", ttlMs: 60_000 });
    assert.strictEqual((await registry.get({ key: "k" }))?.value, "x");
    const changed = await other.upsert({ key: "k", value: "y", ttlMs: 60_000 });
    assert.deepEqual(await registry.get({ key: "k" }), changed);
    await world.advance(10);
    const { expiresAt } = await other.touch({ key: "k" });
    assert.include((await registry.list()).entries[0], { value: "y", expiresAt: expiresAt! });
    await other.remove({ key: "k" });
    assert.isNull(await registry.get({ key: "k" }));
    assert.isEmpty((await registry.list()).entries);
  },

  "cache: what a write gives back is frozen, too, and what does not fit stays out": async (world) => {
    const id = world.id();
    const registry = world.registry({ id, schema: z.array(z.number()), cache: true });
    const made = await registry.upsert({ key: "a", value: [1] });
    assert.isFrozen(made.value);
    await world.registry({ id, schema: z.unknown() }).upsert({ key: "bad", value: "x" });
    await world.registry({ id, schema: z.unknown() }).upsert({ key: "c", value: [2] });
    for (let i = 0; i < 2; i++) assert.deepEqual(keysOf(await registry.list()), ["a", "c"]);
    await rejectsWith(registry.get({ key: "bad" }), "VALIDATION");
  },

  "cache: keys that come and go beyond maxEntries are still read rightly": async (world) => {
    const registry = world.registry({ id: world.id(), schema, cache: true, limits: { maxEntries: 3 } });
    for (let i = 0; i < 10; i++) {
      await registry.upsert({ key: `k/${i}`, value: String(i) });
      assert.strictEqual((await registry.get({ key: `k/${i}` }))?.value, String(i));
      if (i >= 2) await registry.remove({ key: `k/${i - 2}` });
    }
    assert.deepEqual(keysOf(await registry.list()), ["k/8", "k/9"]);
  },
});
