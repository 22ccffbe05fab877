import { assert } from "chai";
import { type Backend, type InstanceInfo, type Store, createMemoryStore, inspect } from "../../src/memory.js";
import { createMemoryBackend } from "../../src/memory/memory-backend.js";
import { runInNode } from "./in-node.js";

/** Backends of the case that runs, with what they keep their state in. */
let opened: { backend: Backend; store: Store; clock: { advancedMs: number } }[] = [];

runInNode({
  name: "store",
  connect() {
    const store = createMemoryStore();
    const backend = createMemoryBackend({ store, testClock: true });
    const clock = { advancedMs: 0 };
    const advance = backend.advanceClock.bind(backend);
    backend.advanceClock = (ms) => {
      clock.advancedMs += ms;
      return advance(ms);
    };
    opened.push({ backend, store, clock });
    return backend;
  },
  async afterEach() {
    const backends = opened.filter(({ backend }) => backend.status.state !== "closed");
    opened = [];
    for (const { backend, store, clock } of backends) await expectSameAfterCrash(backend, store, clock.advancedMs);
  },
});

/** Whatever a case did: an engine that finds only the store has the same instances, and they hold as much. */
async function expectSameAfterCrash(backend: Backend, store: Store, advancedMs: number): Promise<void> {
  await backend.advanceClock(0);
  const before = await inspect(backend).instances();
  const copy = createMemoryStore();
  for (const key of store.keys()) copy.set(key, store.get(key));
  const next = createMemoryBackend({ store: copy, testClock: true });
  await next.advanceClock(advancedMs);
  const after = await inspect(next).instances();
  await next.close();
  assert.deepEqual(contentsOf(after), contentsOf(before));
}

function contentsOf(instances: InstanceInfo[]): unknown[] {
  return instances
    .filter(({ durability }) => durability !== "memory")
    .map(({ name, config, durability, stats }) => ({ name, config, durability, holds: whatLasts(name.kind, stats) }))
    .sort((a, b) => (JSON.stringify(a.name) < JSON.stringify(b.name) ? -1 : 1));
}

/** The part of the stats that a crash leaves alone: what was handed out is free again, or dead of it. */
function whatLasts(kind: InstanceInfo["name"]["kind"], stats: InstanceInfo["stats"]): unknown {
  const { waiters: _, ...rest } = stats as Record<string, number>;
  if (kind === "topic") return rest;
  if (kind !== "queue") return undefined;
  const { depth, dead, idempotencyKeys, paused } = rest;
  return { messages: depth! + dead!, idempotencyKeys, paused };
}
