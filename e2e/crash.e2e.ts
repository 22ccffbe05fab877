import { describe, expect, test } from "vitest";
import { until } from "./support/browser.js";
import { MODES, setStage } from "./support/stage.js";

const MESSAGES = 5000;

interface Note {
  what: string;
  by: string;
  i: number;
  at: number;
}

describe.each(MODES)("%s", (mode) => {
  const stage = setStage({ mode });
  const { openTab } = stage;
  describe("5,000 messages, four tabs, one crash, two dead hubs", () => {
    // An elected tab's worker dies with its tab as a SharedWorker does; what differs is tested in leader.e2e.ts.
    for (const creator of mode === "elected-tab" ? [true] : [false, true]) {
      test(`none lost, none acknowledged twice; the crashed tab ${creator ? "had started" : "had not started"} the hub`, async () => {
        // The first tab creates the worker, and its process hosts it.
        const first = await openTab();
        const others = [await openTab(), await openTab(), await openTab()];
        const [sender, doomed, b, c] = creator
          ? [others[0]!, first, others[1]!, others[2]!]
          : [first, others[0]!, others[1]!, others[2]!];
        await sender.evaluate(() => keepRecord());
        for (const [name, page] of Object.entries({ doomed, b, c })) {
          await page.evaluate((by) => consume(by, { concurrency: 5, holdMs: 2 }), name);
        }
        const sending = sender.evaluate((count) => sendAll(count, { inFlight: 200 }), MESSAGES);
        const acked = async (): Promise<number> =>
          sender.evaluate(() => noted.filter(({ what }) => what === "acked").length);
        const reach = async (count: number): Promise<void> => {
          while ((await acked()) < count) await new Promise((resolve) => setTimeout(resolve, 5));
        };
        await reach(500);
        expect(await stage.profile.killHubs()).toBe(1);
        await reach(1500);
        await stage.profile.crash(doomed);
        await reach(2500);
        expect(await stage.profile.killHubs()).toBe(1);
        const ids = await sending;
        expect(new Set(ids).size).toBe(MESSAGES);
        await until(sender, async () => (await q.stats()).depth === 0);
        for (const page of [b, c]) await page.evaluate(() => stopConsuming());

        const notes: Note[] = await sender.evaluate(() => noted);
        const receivedBy = new Map<number, string[]>();
        const acks = new Map<number, number>();
        for (const { what, by, i } of notes) {
          if (what === "received") receivedBy.set(i, [...(receivedBy.get(i) ?? []), by]);
          else acks.set(i, (acks.get(i) ?? 0) + 1);
        }
        const all = Array.from({ length: MESSAGES }, (_, i) => i);
        expect(all.filter((i) => !receivedBy.has(i)).slice(0, 10), "lost").toEqual([]);
        expect(all.filter((i) => (acks.get(i) ?? 0) > 1).slice(0, 10), "acknowledged twice").toEqual([]);
        // An acknowledgement whose answer the crashed tab did not live to see is in the hub, but nobody noted it.
        const unnoted = all.filter((i) => !acks.has(i));
        expect(unnoted.length).toBeLessThanOrEqual(5);
        for (const i of unnoted) expect(receivedBy.get(i)?.at(-1)).toBe("doomed");
        expect(await sender.evaluate(() => q.stats())).toMatchObject({ depth: 0, dead: 0 });
      });
    }
  });

  describe("a crashed tab's leases", () => {
    for (const creator of [false, true]) {
      test(`are delivered again at once; it ${creator ? "had started" : "had not started"} the hub`, async () => {
        const first = await openTab();
        const second = await openTab();
        const [doomed, witness] = creator ? [first, second] : [second, first];
        await witness.evaluate(() => sendAll(3, { inFlight: 1 }));
        // Leases longer than any test: only the death of their holder can bring the messages back.
        await doomed.evaluate(async () => void (await q.recvMany({ max: 2, leaseMs: 24 * 3_600_000 })));
        await witness.evaluate(async () => void (await q.recv())?.ack());
        const record = await openTab();
        await record.evaluate(() => keepRecord());
        await witness.evaluate(() => consume("witness", { concurrency: 2 }));
        const before = Date.now();
        await stage.profile.crash(doomed);
        await witness.waitForFunction(
          () => noted.filter(({ what, by }) => what === "received" && by === "witness").length === 2,
        );
        const received = await witness.evaluate(() => noted.filter(({ what }) => what === "received"));
        // In the order in which they were sent, each tried a second time.
        expect(received.map(({ i, attempt }) => ({ i, attempt }))).toEqual([
          { i: 0, attempt: 2 },
          { i: 1, attempt: 2 },
        ]);
        const took = Math.max(...received.map(({ at }) => at)) - before;
        console.log(`redelivered ${took} ms after the crash (the tab ${creator ? "had" : "had not"} started the hub)`);
      });
    }
  });

  describe("the browser closes", () => {
    test("what was not acknowledged is there again, in order, and nothing else", async () => {
      const [a, b] = [await openTab(), await openTab()];
      await a.evaluate(() => sendAll(200, { inFlight: 50 }));
      await b.evaluate(async () => {
        // Ten acknowledged, ten more held when the end comes.
        for (const message of await q.recvMany({ max: 10 })) await message.ack();
        await q.recvMany({ max: 10 });
        await t.pub({ data: "before" });
      });
      for (let round = 1; round <= 2; round++) {
        await stage.restart();
        const page = await openTab();
        const found = await page.evaluate(async () => {
          const waiting = await q.recvMany({ max: 300 });
          const event = await t.reader("g").recv({ timeoutMs: 1000 });
          return { waiting: waiting.map(({ data: { i } }) => i), event: event?.data, stats: await q.stats() };
        });
        expect(found.waiting).toEqual(Array.from({ length: 190 }, (_, i) => i + 10));
        expect(found.event).toBe("before");
        expect(found.stats).toMatchObject({ depth: 190, leased: 190 });
      }
    });
  });
});
