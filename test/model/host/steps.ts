/** What may happen in a history, at random, and how it is done. */
import fc from "fast-check";
import type { QueueItem, Reply } from "../../../src/protocol/commands.js";
import { type Made, type SimulatedTab, TOPIC } from "./simulated-tab.js";
import type { World } from "./world.js";

const SECOND = 1000;
const GROUPS = ["g", "h"];
const FOR_EVER = 1e9;

export type Step =
  | { do: "send"; tab: number; queue: number; key: number; delay: boolean }
  | { do: "sendMany"; tab: number; queue: number; count: number; key: number }
  | { do: "claim"; tab: number; queue: number; max: number; waits: boolean }
  | { do: "ack" | "nack" | "bury" | "touch" | "release"; tab: number; which: number }
  | { do: "publish"; tab: number; key: number }
  | { do: "take"; tab: number; group: number; waits: boolean }
  | { do: "commit"; tab: number; which: number }
  | { do: "give up"; tab: number; which: number }
  | { do: "hub reads" | "tab reads"; which: number }
  | { do: "disk"; full: boolean; answers: boolean }
  | { do: "disk answers" | "rest" | "hub dies" | "steal" | "notice" }
  | { do: "elapse"; ms: number }
  | { do: "clock"; seconds: number }
  | { do: "damage"; which: number }
  | { do: "port is lost"; tab: number; unread: boolean }
  | { do: "sleep"; tab: number; goodbyeIsRead: boolean }
  | { do: "wake"; tab: number }
  | { do: "leave"; tab: number; how: "dies" | "says goodbye" };

const tab = fc.nat(2);
const queue = fc.constantFrom(0, 0, 1);
const which = fc.nat(4);
const key = fc.nat(6);
const of = <Do extends string>(...names: Do[]): fc.Arbitrary<Do> => fc.constantFrom(...names);

export const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ do: of("send"), tab, queue, key, delay: fc.constantFrom(false, false, true) }) },
  {
    weight: 3,
    // Enough rows for checkpoints of several slices.
    arbitrary: fc.record({ do: of("sendMany"), tab, queue, count: fc.constantFrom(1, 2, 3, 120), key }),
  },
  {
    weight: 9,
    arbitrary: fc.record({ do: of("claim"), tab, queue, max: fc.constantFrom(1, 1, 3), waits: fc.boolean() }),
  },
  { weight: 9, arbitrary: fc.record({ do: of("ack", "ack", "ack", "nack", "bury", "touch", "release"), tab, which }) },
  { weight: 5, arbitrary: fc.record({ do: of("publish"), tab, key }) },
  { weight: 4, arbitrary: fc.record({ do: of("take"), tab, group: fc.nat(1), waits: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ do: of("commit"), tab, which }) },
  { weight: 1, arbitrary: fc.record({ do: of("give up"), tab, which }) },
  { weight: 9, arbitrary: fc.record({ do: of("hub reads"), which: fc.nat(9) }) },
  { weight: 7, arbitrary: fc.record({ do: of("tab reads"), which: fc.nat(2) }) },
  { weight: 9, arbitrary: fc.record({ do: of("disk"), full: fc.nat(7).map((n) => n === 7), answers: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: of("disk answers") }) },
  { weight: 3, arbitrary: fc.record({ do: of("rest") }) },
  { weight: 2, arbitrary: fc.record({ do: of("hub dies") }) },
  { weight: 1, arbitrary: fc.record({ do: of("steal", "steal", "notice") }) },
  { weight: 4, arbitrary: fc.record({ do: of("elapse"), ms: fc.constantFrom(60, 600, 1100) }) },
  { weight: 1, arbitrary: fc.record({ do: of("clock"), seconds: fc.constantFrom(2, 6, 40) }) },
  { weight: 1, arbitrary: fc.record({ do: of("damage"), which: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ do: of("port is lost"), tab, unread: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: of("sleep"), tab, goodbyeIsRead: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ do: of("wake"), tab }) },
  { weight: 1, arbitrary: fc.record({ do: of("leave"), tab, how: of("dies", "says goodbye") }) },
);

export async function perform(world: World, given: Step): Promise<void> {
  const { disk } = world;
  switch (given.do) {
    case "hub reads": {
      for (const one of world.tabs) await world.connect(one);
      const links = world.hubs.flatMap((hub) => hub.links).filter((link) => !link.cut && link.toHub.length > 0);
      links[given.which % links.length]?.hubReads();
      break;
    }
    case "tab reads":
      world.tabs[given.which % world.tabs.length]!.reads();
      break;
    case "disk":
      disk.step(given.full);
      if (given.answers) disk.answer();
      break;
    case "disk answers":
      disk.answer();
      break;
    case "rest":
      await world.rest();
      break;
    case "hub dies":
      world.hubDies();
      break;
    case "steal":
      await world.startHub();
      break;
    case "notice":
      world.notice();
      break;
    case "elapse":
      await world.elapse(given.ms);
      break;
    case "clock":
      world.stepClock(given.seconds * SECOND);
      break;
    case "damage":
      disk.damage(given.which);
      break;
    default:
      ask(world, world.tabs[given.tab % world.tabs.length]!, given);
  }
  await world.quiet();
}

function ask(world: World, tab: SimulatedTab, given: Extract<Step, { tab: number }>): void {
  if (tab.asleepSince !== undefined && given.do !== "wake" && given.do !== "leave") return;
  switch (given.do) {
    case "send":
      tab.call(given.queue, "queue.send", {
        ...item(world, given.key),
        ...(given.delay ? { delayMs: 3 * SECOND } : {}),
      });
      return;
    case "sendMany": {
      const items = Array.from({ length: given.count }, (_, i) => item(world, i === 0 ? given.key : 9));
      tab.call(given.queue, "queue.sendMany", { items });
      return;
    }
    case "claim": {
      const { waits, max } = given;
      tab.call(
        given.queue,
        "queue.claim",
        { deliveryId: world.id("d"), max, waitMs: waits ? 2 * SECOND : 0 },
        signal(tab, waits),
      );
      return;
    }
    case "take": {
      const { waits } = given;
      const body = { group: GROUPS[given.group]!, deliveryId: world.id("d"), max: 1, waitMs: waits ? 2 * SECOND : 0 };
      tab.call(TOPIC, "topic.claim", body, signal(tab, waits));
      return;
    }
    case "publish": {
      const eventId = world.id("e");
      tab.call(TOPIC, "topic.publish", { eventId, data: "1", bytes: 1, ...idempotency(given.key) });
      return;
    }
    case "commit": {
      const taken = tab.made.flatMap((made) => (is(made, "topic.claim") ? takenBy(made) : []));
      const one = taken.at(-1 - given.which);
      if (one) tab.call(TOPIC, "topic.commit", one);
      return;
    }
    case "give up":
      tab.parked.splice(given.which, 1)[0]?.abort();
      return;
    case "port is lost":
      // What was posted to it may still be read, before anything that comes through the next.
      if (!given.unread) tab.link?.hubReads();
      tab.disconnect();
      return;
    case "sleep":
      if (tab.asleepSince === undefined) tab.sleep(given);
      return;
    case "wake":
      if (tab.asleepSince !== undefined) tab.wake();
      return;
    case "leave":
      world.leave(tab, given.how);
      return;
    default:
      settle(tab, given);
  }
}

function settle(tab: SimulatedTab, given: { do: "ack" | "nack" | "bury" | "touch" | "release"; which: number }): void {
  const received = tab.made.flatMap((made) => (is(made, "queue.claim") ? receivedBy(made) : []));
  const one = received.at(-1 - given.which);
  if (one === undefined) return;
  const { ref, deliveryId } = one;
  if (given.do === "ack") tab.call(ref, "queue.ack", { deliveryId });
  else if (given.do === "touch") tab.call(ref, "queue.touch", { deliveryId });
  else if (given.do === "release") tab.call(ref, "queue.release", { deliveryIds: [deliveryId] });
  else tab.call(ref, "queue.nack", { deliveryId, ...(given.do === "bury" ? { deadLetter: true } : {}) });
}

/** One made call, told apart by its command. */
export function is<Op extends Made["op"]>(made: Made, op: Op): made is Made & Made<Op> {
  return made.op === op;
}

function receivedBy({ ref, outcome }: Made<"queue.claim">): { ref: number; deliveryId: string }[] {
  return outcome && "value" in outcome ? outcome.value.map(({ deliveryId }) => ({ ref, deliveryId })) : [];
}

function takenBy({ body, outcome }: Made<"topic.claim">): { group: string; deliveryId: string }[] {
  const { deliveries } = outcome && "value" in outcome ? outcome.value : ({ deliveries: [] } as Reply<"topic.claim">);
  return deliveries.map(({ deliveryId }) => ({ group: body.group, deliveryId }));
}

function signal(tab: SimulatedTab, waits: boolean): AbortSignal | undefined {
  if (!waits) return undefined;
  const controller = new AbortController();
  tab.parked.push(controller);
  return controller.signal;
}

function item(world: World, key: number): QueueItem {
  const messageId = world.id("m");
  const meta = key % 2 ? { meta: metaOf(messageId) } : {};
  return { messageId, data: messageId, bytes: 1, orderingKey: `k${key % 2}`, ...meta, ...idempotency(key) };
}

export const metaOf = (messageId: string): string => `of ${messageId}`;

function idempotency(key: number): { idempotencyKey?: string; idempotencyTtlMs?: number } {
  return key < 2 ? { idempotencyKey: `key ${key}`, idempotencyTtlMs: FOR_EVER } : {};
}
