import { beforeEach, describe, expect, test } from "vitest";
import type { Settled } from "../engine/call.js";
import { Space } from "../engine/space.js";
import type { Body, CommandName, DeadEntry, QueueDelivery, QueuePeek } from "../protocol/commands.js";
import { TabloomError } from "../protocol/errors.js";
import { createMemoryJournal } from "../store/memory.js";
import type { Page } from "../store/journal.js";
import { Outbox } from "./outbox.js";

const NOW = 1_700_000_000_000;
const LIMITS = { payloadBytes: 1000, maxMessageAgeMs: 1e9, maxNackDelayMs: 60_000, dlqRetentionMs: 1e9 };

type Read = { pages: readonly number[]; answer(): void; fail(error: unknown): void };

/** A space that keeps no payload in memory, its disk, and what left the hub. */
let space: Space;
let disk: Map<number, Page>;
let reads: Read[];
let left: unknown[];
let lost: unknown[];
let outbox: Outbox;
let seq = 0;
let maxDead: number;

beforeEach(() => {
  space = new Space();
  maxDead = 10;
  [disk, reads, left, lost] = [new Map(), [], [], []];
  outbox = new Outbox({
    space,
    journal: { ...createMemoryJournal(), durable: true, read: (pages) => new Promise(readFrom(pages)) },
    now: () => NOW,
    release: (settled) => left.push(...settled.map(({ outcome }) => (outcome.ok ? outcome.value : outcome.error))),
    mayRun: () => true,
    settle: commit,
    onLost: (error) => lost.push(error),
  });
  outbox.limit({ payloadBudgetBytes: 0 });
});

function readFrom(pages: readonly number[]) {
  return (resolve: (found: (Page | undefined)[]) => void, fail: (error: unknown) => void): void => {
    reads.push({ pages, answer: () => resolve(pages.map((n) => disk.get(n))), fail });
  };
}

function run<Op extends CommandName>(op: Op, body: Body<Op>): void {
  const config = {
    ...{ ordering: "best_effort" as const, maxMessages: 0, maxIdempotencyKeys: 10, defaultLeaseMs: 1000 },
    ...{ maxDeliveries: 3, maxDead, ...LIMITS },
  };
  const name = { prefix: "", kind: "queue" as const, tenantId: "default", id: "q" };
  const instance = space.open({ name, config, durability: "relaxed", seed: "GEN" }, NOW);
  const call = { owner: "tab", seq: ++seq, op, body, instance, arrival: 0, waitUntil: 0, parkedIn: undefined };
  space.run(call, NOW);
}

/** As the committer does, with an append that takes no time. */
function commit(): void {
  const { pages, id } = space.take();
  for (const [n, page] of pages?.put ?? []) disk.set(n, page);
  for (const n of pages?.drop ?? []) disk.delete(n);
  space.committed = id;
  const settled: Settled[] = space.settled;
  space.settled = [];
  outbox.release(settled, []);
}

/** In a turn of its own, and so on a page of its own. */
function send(messageId: string): void {
  run("queue.send", { messageId, data: `"${messageId}"`, bytes: 10, meta: `{"of":"${messageId}"}` });
  commit();
  left = [];
}

function claim(max = 1): void {
  run("queue.claim", { deliveryId: `d${seq}`, max, waitMs: 0 });
  commit();
}

async function answered(read: Read | undefined): Promise<void> {
  read!.answer();
  await new Promise((resolve) => setImmediate(resolve));
}

const delivered = (): string[][] => (left as QueueDelivery[][]).map((each) => each.map(({ data }) => data));

describe("answers", () => {
  test("that show nothing from disk leave at once", () => {
    run("queue.stats", {});
    commit();
    expect(left).toHaveLength(1);
    expect(reads).toEqual([]);
  });

  test("leave whole, with data and meta as they were sent", async () => {
    send("a");
    claim();
    expect(left).toEqual([]);
    await answered(reads[0]);
    expect(left).toEqual([[expect.objectContaining({ messageId: "a", data: '"a"', meta: '{"of":"a"}' })]]);
  });

  test("leave in the order in which they came, whichever page is read first", async () => {
    for (const id of ["a", "b"]) send(id);
    claim();
    run("queue.stats", {});
    commit();
    claim();
    await answered(reads[1]);
    expect(left).toEqual([]);
    await answered(reads[0]);
    expect([left[0], left[2]]).toEqual([
      [expect.objectContaining({ data: '"a"' })],
      [expect.objectContaining({ data: '"b"' })],
    ]);
  });

  test("from one page wait for one read of it, and later ones for none", async () => {
    for (const messageId of ["a", "b", "c"]) run("queue.send", { messageId, data: `"${messageId}"`, bytes: 10 });
    commit();
    left = [];
    claim();
    claim();
    expect(reads.map(({ pages }) => pages)).toEqual([[1]]);
    await answered(reads[0]);
    claim();
    await answered(reads[0]);
    expect(delivered()).toEqual([['"a"'], ['"b"'], ['"c"']]);
    expect(reads).toHaveLength(1);
  });

  test("never leave when the storage is lost, nor when the hub has stopped", async () => {
    for (const id of ["a", "b"]) send(id);
    claim();
    claim();
    const error = new TabloomError("STORAGE", "gone");
    reads[0]!.fail(error);
    await answered(reads[1]);
    expect(left).toEqual([]);
    expect(lost).toEqual([error]);
  });
});

describe("a payload that cannot be read", () => {
  test("makes its message a dead letter, and the claim gets the next one", async () => {
    for (const id of ["a", "b"]) send(id);
    disk.delete(1);
    claim();
    await answered(reads[0]);
    await answered(reads[1]);
    expect(delivered()).toEqual([['"b"']]);
    left = [];
    run("queue.listDead", { limit: 10 });
    commit();
    await answered(reads[2]);
    const [{ entries }] = left as [{ entries: DeadEntry[] }];
    expect(entries).toEqual([expect.objectContaining({ messageId: "a", reason: "invalid", data: "", attempts: 1 })]);
  });

  test("among several leaves the others where they were: all of them are delivered, in order, the first time", async () => {
    for (const id of ["a", "b", "c"]) send(id);
    disk.delete(2);
    claim(3);
    await answered(reads[0]);
    await answered(reads[1]);
    const [deliveries] = left as [QueueDelivery[]];
    expect(deliveries.map(({ data, attempt }) => [data, attempt])).toEqual([
      ['"a"', 1],
      ['"c"', 1],
    ]);
  });

  test("leaves nothing: the claim is answered with nothing", async () => {
    send("a");
    disk.set(1, [5]);
    claim();
    await answered(reads[0]);
    expect(left).toEqual([[]]);
  });

  test("waits while the dead letters are full, and does not keep the others waiting", async () => {
    maxDead = 0;
    for (const id of ["a", "b"]) send(id);
    disk.delete(1);
    claim();
    await answered(reads[0]);
    await answered(reads[1]);
    expect(delivered()).toEqual([['"b"']]);
    left = [];
    run("queue.peek", { limit: 10 });
    commit();
    await answered(reads[2]);
    const [peeked] = left as [QueuePeek[]];
    expect(peeked.find(({ messageId }) => messageId === "a")).toMatchObject({ at: "delayed", untilAt: NOW + 30_000 });
  });

  test("because its message has gone meanwhile is not shown at all", async () => {
    send("a");
    run("queue.peek", { limit: 10 });
    run("queue.purge", {});
    commit();
    await answered(reads[0]);
    expect(left.at(-1)).toEqual([]);
    expect(left).not.toContainEqual([expect.objectContaining({ messageId: "a" })]);
  });
});

describe("the budget", () => {
  test("is the least that a tab asks for, 64 MiB if it says nothing; the hub's own thread has no say", () => {
    const { payloads } = space;
    payloads.budgetBytes = Infinity;
    outbox.limit({ own: true });
    expect(payloads.budgetBytes).toBe(Infinity);
    outbox.limit({ payloadBudgetBytes: 1e9 });
    expect(payloads.budgetBytes).toBe(1e9);
    outbox.limit({});
    expect(payloads.budgetBytes).toBe(64 * 1024 * 1024);
    outbox.limit({ payloadBudgetBytes: 1e9 });
    expect(payloads.budgetBytes).toBe(64 * 1024 * 1024);
    outbox.limit({ payloadBudgetBytes: 0 });
    expect(payloads.budgetBytes).toBe(0);
  });
});
