import { expect } from "vitest";
import { pageOf } from "../../src/engine/payloads.js";
import { Space } from "../../src/engine/space.js";
import type { QueueDelivery, QueuePeek, TopicDelivery, TopicStats } from "../../src/protocol/commands.js";
import type { Json } from "../../src/protocol/json.js";
import { EngineDriver } from "./engine-driver.js";

/** A hub that knows nothing but these rows. */
export function restored(rows: Map<string, Json>, budgetBytes = Infinity): Space {
  const space = new Space();
  space.payloads.budgetBytes = budgetBytes;
  space.restore(rows);
  return space;
}

/** This state and what its rows restore cannot be told apart. */
export function expectEqualStates(driver: EngineDriver, rows: Map<string, Json>): void {
  expect(
    [...rows.keys()].filter((key) => isOrphan(key, rows)),
    "rows that belong to nothing",
  ).toEqual([]);
  expect(new Set(driver.pages.keys()), "pages are on disk exactly when a row needs them").toEqual(pagesOf(rows));
  const other = new EngineDriver();
  other.space = restored(rows, driver.space.payloads.budgetBytes);
  other.pages = driver.pages;
  other.now = driver.now;
  const opened = new Set([...other.space.instances()].map(({ name }) => name.id));
  expect(new Set([...driver.space.instances()].map(({ name }) => name.id))).toEqual(opened);
  for (const id of opened) expect(probe(driver, id)).toEqual(probe(other, id));
}

/** A place without its message, for one, would be found by another message after a restart. */
function isOrphan(key: string, rows: Map<string, Json>): boolean {
  const [, instance, letter, rest] = /^(\d+)([a-z])(.*)$/s.exec(key)!;
  if (letter === "i") return false;
  const registration = rows.get(`0i${instance}`) as { name: { kind: string } } | undefined;
  if (registration === undefined) return true;
  return letter === "p" && registration.name.kind === "queue" && !rows.has(`${instance}m${rest}`);
}

/** Those that messages and dead letters refer to. */
function pagesOf(rows: Map<string, Json>): Set<number> {
  const refs = [...rows].filter(([key]) => /^[1-9]\d*[md]/.test(key)).map(([, row]) => (row as Json[])[1]);
  return new Set(refs.filter((ref) => typeof ref === "number").map(pageOf));
}

/** Everything that can be learned from an instance. Claims are made and undone again. */
function probe(driver: EngineDriver, id: string): unknown {
  const instance = [...driver.space.instances()].find(({ name }) => name.id === id)!;
  const config = { ...instance.config };
  driver.open({ name: instance.name, config, durability: instance.durability, seed: instance.seed });
  const ask: EngineDriver["ask"] = (...args) => driver.ask(...args);
  const read = instance.name.kind === "queue" ? probeQueue(ask, id) : probeTopic(ask, id);
  driver.space.undo([driver.space.take()]);
  return { config, seed: instance.seed, durability: instance.durability, ...read };
}

function probeQueue(ask: EngineDriver["ask"], id: string) {
  const stats = ask(id, "queue.stats", {});
  const { value: peeked } = ask(id, "queue.peek", { limit: 1000 }) as { value: QueuePeek[] };
  const dead = ask(id, "queue.listDead", { limit: 1000 });
  const claimed: QueueDelivery[] = [];
  for (let got; claimed.length < 100 && (got = claimOne(ask, id, claimed.length));) claimed.push(got);
  ask(id, "queue.resume", {});
  for (let got; claimed.length < 200 && (got = claimOne(ask, id, claimed.length));) claimed.push(got);
  const purged = ask(id, "queue.purge", {});
  return {
    stats,
    peeked: peeked.sort((a, b) => (a.messageId < b.messageId ? -1 : 1)),
    dead,
    claimed,
    purged,
  };
}

function claimOne(ask: EngineDriver["ask"], id: string, count: number): QueueDelivery | undefined {
  return (
    ask(id, "queue.claim", { deliveryId: `probe ${count}`, max: 1, waitMs: 0 }, "probe") as { value: QueueDelivery[] }
  ).value[0];
}

function probeTopic(ask: EngineDriver["ask"], id: string) {
  const stats = ask(id, "topic.stats", {}) as { value: TopicStats };
  const anchors = ["0", "$", "GEN.0", "GEN.3", "GEN.99"].map((after) => ask(id, "topic.anchor", { after }));
  const log = ask(id, "topic.read", { after: 0, limit: 1000 });
  const groups = [...Object.keys(stats.value.groups).sort(), "new"].map((group) => {
    const taken: unknown[] = [];
    for (let i = 0; i < 50; i++) {
      const { value } = ask(
        id,
        "topic.claim",
        { group, deliveryId: `probe ${group} ${i}`, max: 1, waitMs: 0 },
        "probe",
      ) as {
        value: { deliveries: TopicDelivery[]; gap?: unknown };
      };
      if (value.deliveries.length === 0 && !value.gap) break;
      taken.push(value);
    }
    return {
      taken,
      others: ask(id, "topic.reclaim", { group, deliveryId: "probe", minIdleMs: 1, count: 100 }, "probe"),
    };
  });
  return { stats, anchors, log, groups };
}
