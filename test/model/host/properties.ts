/** What must hold when everything has come to rest, whatever happened before. */
import { expect } from "vitest";
import type {
  QueueDelivery,
  QueueItem,
  QueuePeek,
  Reply,
  TopicEvent,
  TopicItem,
} from "../../../src/protocol/commands.js";
import type { Observed } from "./observer.js";
import { INSTANCES, type Made } from "./simulated-tab.js";
import { is, metaOf } from "./steps.js";
import type { World } from "./world.js";

const SAYING_NOTHING = ["CLOSED", "ABORTED", "INDETERMINATE"];
const EXPECTED_CODES = ["QUOTA", "CAPACITY", "ABORTED"];

/** What one item of a call came to for its caller. unknown: the caller was gone before it was told. */
type Fate = "accepted" | "refused" | "unknown" | { duplicateOf: string };

interface SentItem<Item> {
  made: Made;
  item: Item;
  fate: Fate;
}

/** Every call has its answer, and none but the answers that this history can give. */
export function expectEverythingSettled(world: World): void {
  for (const { tab, op, outcome } of callsOf(world)) {
    if (tab.gone) continue;
    if (outcome === undefined) expect.fail(`${op} of ${tab.id} hangs`);
    if ("error" in outcome && !isExpected(world, outcome.error.code!)) {
      expect.fail(`${op} of ${tab.id} was rejected with ${outcome.error.code}`);
    }
  }
}

/** What is shown of a message is what was sent, whatever of it was on disk; nothing, if the disk lost it. */
function expectPayloads({ disk }: World, shown: readonly { messageId: string; data: string; meta?: string }[]): void {
  for (const { messageId, data, meta } of shown) {
    if (data === "" && disk.damaged.has(messageId)) continue;
    expect(data, `the data of ${messageId}`).toBe(messageId);
    if (meta !== undefined) expect(meta, `the meta of ${messageId}`).toBe(metaOf(messageId));
  }
}

/** Nothing was handed out without what was sent. */
export function expectDeliveries(world: World): void {
  for (const made of callsOf(world)) {
    if (!is(made, "queue.claim")) continue;
    const deliveries = (told(made) ?? []) as Reply<"queue.claim">;
    if (deliveries.some(({ data }) => data === "")) expect.fail("a message was handed out without what was sent");
    expectPayloads(world, deliveries);
  }
}

/** Only hubs that had to forget tabs before their time may not know what came of a call. */
function isExpected({ parked }: World, code: string): boolean {
  return EXPECTED_CODES.includes(code) || (parked < 2 && code === "INDETERMINATE");
}

/** What time brings has happened, and what tabs that are gone held is free. */
export function expectNothingOverdue(world: World): void {
  const present = new Set(world.tabs.map(({ id }) => id));
  for (const [key, value] of world.disk.look().rows) {
    if (!/^[12]p/.test(key)) continue;
    const [at, , , deliveryId, by, untilAt] = value as [number, number, string | null, string, string, number];
    if (at !== 2) continue;
    if (untilAt < Date.now()) expect.fail(`the lease of ${deliveryId} is over, and nobody noticed`);
    if (!present.has(by)) expect.fail(`${deliveryId} is held by ${by}, which is gone`);
  }
}

export function expectMessages(
  world: World,
  ref: number,
  { waiting, dead, drained }: Observed["queues"][number],
): void {
  const sent = callsOf(world)
    .filter((made) => made.ref === ref)
    .flatMap(sentMessages);
  const counts = countBy([...waiting.map(idOf), ...dead.map(idOf)]);
  const acks = settlements(world, ref);
  const { id } = INSTANCES[ref]!.name;
  expectPayloads(world, [...waiting, ...dead, ...drained]);
  for (const { item, fate, made } of sent) {
    const { messageId } = item;
    const count = counts.get(messageId) ?? 0;
    const { acked, perhaps } = acks.get(messageId) ?? { acked: 0, perhaps: false };
    const what = `${messageId} of ${id}, sent by ${made.tab.id}`;
    if (count > 1) expect.fail(`${what} is there ${count} times`);
    if (acked > 1) expect.fail(`${what} was acknowledged ${acked} times`);
    if (acked > 0 && count > 0) expect.fail(`${what} was acknowledged and is there`);
    if (fate === "accepted" && acked === 0 && count === 0 && !perhaps) expect.fail(`${what} is lost`);
    if ((fate === "refused" || typeof fate === "object") && count + acked > 0) {
      expect.fail(`${what} is there, but its caller was told ${JSON.stringify(fate)}`);
    }
  }
  const known = new Set(sent.map(({ item }) => item.messageId));
  for (const found of counts.keys()) if (!known.has(found)) expect.fail(`nobody sent ${found}`);
  expectOnePerKey(sent.map(({ item, fate }) => ({ key: item.idempotencyKey, id: item.messageId, fate })));
  expectOrder(sent, drained);
}

export function expectEvents(world: World, { log, head }: Pick<Observed, "log" | "head">): void {
  expect(log.map(({ n }) => n)).toEqual(log.map((_, i) => i + 1));
  expect(head).toBe(log.length);
  const numberOf = new Map(log.map(({ n, eventId }) => [eventId, n]));
  expect(numberOf.size, "events that are there twice").toBe(log.length);
  const published = callsOf(world)
    .filter((made) => is(made, "topic.publish"))
    .map(publishedEvent);
  const newest = new Map<string, number>();
  for (const { item, fate, made } of published) {
    const n = numberOf.get(item.eventId);
    if (fate === "accepted") {
      const { cursor } = (made.outcome as { value: { cursor: string } }).value;
      expect(cursor, `the place of ${item.eventId}`).toBe(`GEN.${n}`);
      if (n! <= (newest.get(made.tab.id) ?? 0)) expect.fail(`${item.eventId} overtook an earlier event of its tab`);
      newest.set(made.tab.id, n!);
    } else if (fate !== "unknown" && n !== undefined) expect.fail(`${item.eventId} is there, but was refused`);
  }
  expectOnePerKey(published.map(({ item, fate }) => ({ key: item.idempotencyKey, id: item.eventId, fate })));
}

/** Each event of the log was taken and committed once by a group, or is there to be taken. */
export function expectGroup(world: World, group: string, log: TopicEvent[], left: string[]): void {
  const eventOf = new Map<string, string>();
  for (const made of callsOf(world)) {
    if (!is(made, "topic.claim")) continue;
    const { deliveries = [] } = (told(made) ?? {}) as Partial<Reply<"topic.claim">>;
    for (const { deliveryId, eventId } of deliveries) eventOf.set(deliveryId, eventId);
  }
  const commits = callsOf(world).filter(
    (made) => is(made, "topic.commit") && made.body.group === group,
  ) as Made<"topic.commit">[];
  const counts = countBy(left);
  for (const { eventId } of log) {
    const own = commits.filter(({ body }) => eventOf.get(body.deliveryId) === eventId);
    const committed = own.filter(({ outcome }) => outcome && "value" in outcome && outcome.value).length;
    const perhaps = own.some(({ outcome }) => saysNothing(outcome));
    const count = counts.get(eventId) ?? 0;
    if (count + committed > 1) expect.fail(`${eventId} was taken twice by group ${group}`);
    if (count + committed === 0 && !perhaps) expect.fail(`${eventId} never came to group ${group}`);
  }
}

/** Messages that nobody received before come in the order in which their tab sent them. */
function expectOrder(sent: SentItem<QueueItem>[], drained: QueueDelivery[]): void {
  const place = new Map(drained.filter(({ attempt }) => attempt === 1).map(({ messageId }, i) => [messageId, i]));
  const newest = new Map<string, number>();
  for (const { made, item, fate } of sent) {
    const at = place.get(item.messageId);
    if (fate !== "accepted" || at === undefined || item.delayMs) continue;
    const line = `${made.tab.id} ${made.ref === 0 ? "" : item.orderingKey}`;
    if (at < (newest.get(line) ?? -1)) expect.fail(`${item.messageId} came before what its tab sent earlier`);
    newest.set(line, at);
  }
}

function expectOnePerKey(items: { key: string | undefined; id: string; fate: Fate }[]): void {
  const withKey = items.filter(({ key }) => key !== undefined);
  for (const key of new Set(withKey.map((one) => one.key))) {
    const own = withKey.filter((one) => one.key === key);
    const accepted = own.filter(({ fate }) => fate === "accepted");
    if (accepted.length > 1)
      expect.fail(`${accepted.map(({ id }) => id).join(" and ")} were accepted under one ${key}`);
    for (const { id, fate } of own) {
      if (typeof fate !== "object") continue;
      const first = own.find((one) => one.id === fate.duplicateOf);
      if (first === undefined || (first.fate !== "accepted" && first.fate !== "unknown")) {
        expect.fail(`${id} was taken for ${fate.duplicateOf}, which is ${JSON.stringify(first?.fate)}`);
      }
    }
  }
}

function callsOf(world: World): Made[] {
  return world.everyTab.flatMap(({ made }) => made);
}

function sentMessages(made: Made): SentItem<QueueItem>[] {
  if (is(made, "queue.send")) return [{ made, item: made.body, fate: fateOf(made, (value) => value) }];
  if (!is(made, "queue.sendMany")) return [];
  return made.body.items.map((item, i) => ({ made, item, fate: fateOf(made, (value) => value?.[i] ?? null) }));
}

function publishedEvent(made: Made & Made<"topic.publish">): SentItem<TopicItem> & { made: Made<"topic.publish"> } {
  return { made, item: made.body, fate: fateOf(made, ({ duplicateOf }) => duplicateOf ?? null) };
}

function fateOf<Op extends Made["op"]>({ outcome }: Made<Op>, duplicateOf: (value: never) => string | null): Fate {
  if (saysNothing(outcome)) return "unknown";
  if ("error" in outcome!) return "refused";
  const earlier = duplicateOf(outcome!.value as never);
  return earlier === null ? "accepted" : { duplicateOf: earlier };
}

/** A tab that left is told so, whatever became of its calls; one that was forgotten, that nobody knows. */
function saysNothing(outcome: Made["outcome"]): boolean {
  return outcome === undefined || ("error" in outcome && SAYING_NOTHING.includes(outcome.error.code!));
}

/** The reply, also if it came after the caller gave up. */
export function told({ outcome, late }: Made): unknown {
  return outcome && "value" in outcome ? outcome.value : late;
}

function settlements(world: World, ref: number): Map<string, { acked: number; perhaps: boolean }> {
  const messageOf = new Map<string, string>();
  const found = new Map<string, { acked: number; perhaps: boolean }>();
  for (const made of callsOf(world)) {
    if (made.ref !== ref || !is(made, "queue.claim")) continue;
    for (const { deliveryId, messageId } of (told(made) ?? []) as Reply<"queue.claim">)
      messageOf.set(deliveryId, messageId);
  }
  for (const made of callsOf(world)) {
    if (made.ref !== ref || !is(made, "queue.ack")) continue;
    const messageId = messageOf.get(made.body.deliveryId)!;
    const entry = found.get(messageId) ?? { acked: 0, perhaps: false };
    found.set(messageId, entry);
    if (saysNothing(made.outcome)) entry.perhaps = true;
    else if ("value" in made.outcome! && made.outcome.value === true) entry.acked++;
  }
  return found;
}

function countBy(ids: string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  return counts;
}

const idOf = ({ messageId }: { messageId: string } | QueuePeek): string => messageId;
