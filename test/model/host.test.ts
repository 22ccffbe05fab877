/**
 * The core of the hub as a whole, with the client's calls: whatever dies, is stolen from, or finds the disk full, at
 * whatever step, each call has one effect, and none is answered before it is on disk (docs/decisions/0001).
 */
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FakeLocks } from "./host/fake-locks.js";
import { GROUPS, Observer, QUEUES } from "./host/observer.js";
import {
  expectDeliveries,
  expectEvents,
  expectEverythingSettled,
  expectGroup,
  expectMessages,
  expectNothingOverdue,
  told,
} from "./host/properties.js";
import type { Made } from "./host/simulated-tab.js";
import { type Step, is, perform, step } from "./host/steps.js";
import { World } from "./host/world.js";

/** Every recv gives up waiting, and checkpoints run. */
const REST_MS = 500;
const RESTS = 7;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"], now: 1_700_000_000_000 });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

interface History {
  tabs: number;
  /** Sleeping tabs that a hub remembers. */
  parked?: number;
  /** Bytes of payloads that a hub may keep in memory; each message has one. */
  payloadBudgetBytes?: number | undefined;
  steps: readonly Step[];
}

async function live({ tabs, parked = 1000, payloadBudgetBytes, steps }: History): Promise<Made[]> {
  // A world of its own for each history: locks that a shrunk one left behind would disturb the next.
  vi.stubGlobal("navigator", { locks: new FakeLocks() });
  const world = new World({ parked, payloadBudgetBytes });
  try {
    for (let i = 0; i < tabs; i++) world.tabs.push(world.openTab());
    for (const each of steps) await perform(world, each);
    expect(world.landed.violations).toEqual([]);
    await comeToRest(world);
    expectEverythingSettled(world);
    expectDeliveries(world);
    expectNothingOverdue(world);
    await expectTruth(world);
    expect(world.landed.violations).toEqual([]);
    return world.everyTab.flatMap(({ made }) => made);
  } finally {
    await world.close();
  }
}

async function comeToRest(world: World): Promise<void> {
  world.notice();
  for (const tab of world.tabs) if (tab.asleepSince !== undefined) tab.wake();
  await world.rest();
  for (let i = 0; i < RESTS; i++) {
    await vi.advanceTimersByTimeAsync(REST_MS);
    await world.rest();
  }
}

/** What the last hub says, what the next one finds on disk, and what callers were told: all the same. */
async function expectTruth(world: World): Promise<void> {
  const observer = new Observer(world);
  const before = await observer.look();
  world.hubDies();
  const after = await observer.look();
  expect(after).toEqual(before);
  const { drained, left } = await observer.drain();
  for (const ref of QUEUES) expectMessages(world, ref, { ...after.queues[ref]!, drained: drained[ref]! });
  expectEvents(world, after);
  for (const group of GROUPS) expectGroup(world, group, after.log, left.get(group)!);
}

const history = fc.record({
  tabs: fc.integer({ min: 1, max: 3 }),
  parked: fc.constantFrom(1000, 1000, 1, 0),
  payloadBudgetBytes: fc.constantFrom(undefined, 0, 2, undefined),
  steps: fc.array(step, { minLength: 1, maxLength: 120, size: "max" }),
});

describe("hubs, tabs and a disk", () => {
  for (const seed of [1, 2, 3, 4, 5, 6]) {
    test(`each call has one effect, whatever dies when (seed ${seed})`, async () => {
      const lives = fc.asyncProperty(history, async (given) => void (await live(given)));
      await fc.assert(lives, { numRuns: Number(process.env.RUNS ?? 60), seed });
    }, 60_000);
  }
});

describe("histories that once failed", () => {
  const send: Step = { do: "send", tab: 0, queue: 0, key: 9, delay: false };
  const claim: Step = { do: "claim", tab: 0, queue: 0, max: 1, waits: false };
  const publish: Step = { do: "publish", tab: 0, key: 9 };
  const take: Step = { do: "take", tab: 0, group: 0, waits: false };
  const reads: Step = { do: "hub reads", which: 0 };
  const works: Step = { do: "disk", full: false, answers: true };
  const full: Step = { do: "disk", full: true, answers: true };
  const unheard: Step = { do: "disk", full: false, answers: false };
  const dies: Step = { do: "hub dies" };
  const ack: Step = { do: "ack", tab: 0, which: 0 };
  const fullUnheard: Step = { do: "disk", full: true, answers: false };
  const rest: Step = { do: "rest" };

  test("the clock goes ahead of the timer that was set by it", () =>
    live({ tabs: 1, steps: [send, claim, reads, rest, { do: "clock", seconds: 3 }, { do: "elapse", ms: 1100 }] }));

  test("a parked call is due before an alarm of which the clock has left nothing but its timer", () =>
    live({
      tabs: 1,
      steps: [
        { ...claim, waits: true },
        send,
        reads,
        { do: "clock", seconds: 40 },
        claim,
        { ...claim, waits: true },
        reads,
      ],
    }));

  test("a claim is undone after its tab died", () =>
    live({ tabs: 1, steps: [send, rest, claim, reads, fullUnheard, { do: "leave", tab: 0, how: "dies" }] }));

  test("a claim comes while another that was undone waits to run again: the earlier one is served", async () => {
    const made = await live({
      tabs: 1,
      steps: [publish, rest, { ...take, waits: true }, reads, fullUnheard, works, take, rest],
    });
    expect(made.filter((one) => is(one, "topic.claim")).map(told)).toEqual([
      { deliveries: [expect.objectContaining({ n: 1, attempt: 1 })] },
      { deliveries: [] },
    ]);
  });

  test("a claim comes while room is made, and is given up before it runs: it takes nothing from the next", async () => {
    const waits: Step = { ...claim, waits: true };
    const giveUp: Step = { do: "give up", tab: 0, which: 0 };
    const made = await live({
      tabs: 1,
      steps: [
        send,
        rest,
        claim,
        rest,
        send,
        reads,
        fullUnheard,
        waits,
        reads,
        giveUp,
        reads,
        works,
        rest,
        { do: "elapse", ms: 1100 },
        send,
        claim,
        rest,
      ],
    });
    expect(made.filter((one) => is(one, "queue.claim")).map(told)).toEqual([
      [expect.objectContaining({ attempt: 1 })],
      [],
      [expect.objectContaining({ attempt: 1 })],
    ]);
  });

  test("a call is parked at an instance whose creation is undone", () =>
    live({ tabs: 1, steps: [take, reads, fullUnheard, { ...claim, waits: true }] }));

  test("the end of a lease is undone", () =>
    live({ tabs: 1, steps: [send, rest, claim, rest, { do: "clock", seconds: 6 }, full] }));

  test("a refused call is sent again to the next hub, whose watermark is above it", () =>
    live({
      tabs: 1,
      steps: [send, claim, rest, send, ack, reads, fullUnheard, works, works, unheard, dies],
    }));

  test("a refused call is sent again to the hub after the next, whose watermark is below it", () =>
    live({
      tabs: 1,
      steps: [claim, reads, publish, full, works, reads, unheard, dies, reads, unheard, dies],
    }));

  test("a tab goes to sleep while what it asked for is undone, and asks again when it is back", () =>
    live({
      tabs: 1,
      steps: [
        ...[send, rest, claim, rest, ack, send, reads, full],
        { do: "sleep", tab: 0, goodbyeIsRead: true },
        ...[works, works, { do: "wake", tab: 0 } as const, rest],
      ],
    }));

  test("the disk is full between two slices of a checkpoint, and its reserve is used up", () =>
    live({
      tabs: 1,
      steps: [
        { do: "sendMany", tab: 0, queue: 0, count: 120, key: 9 },
        ...[rest, claim, reads, full, rest],
        { do: "elapse", ms: 600 },
        ...[claim, reads, works, full],
      ],
    }));
});
