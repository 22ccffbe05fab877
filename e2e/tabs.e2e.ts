import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { until } from "./support/browser.js";
import { MODES, setStage } from "./support/stage.js";

describe.each(MODES)("%s", (mode) => {
  const stage = setStage({ mode });
  const { openTab } = stage;

  describe("tabs share a queue", () => {
    test("what one sends, another receives; what one acknowledges is gone for all", async () => {
      const [a, b] = [await openTab(), await openTab()];
      await a.evaluate(() => q.send({ data: { i: 1 }, meta: { from: "a" } }));
      const received = await b.evaluate(async () => {
        const message = await q.recv();
        return { data: message?.data, meta: message?.meta, attempt: message?.attempt, acked: await message?.ack() };
      });
      expect(received).toEqual({ data: { i: 1 }, meta: { from: "a" }, attempt: 1, acked: true });
      expect(await a.evaluate(() => q.recv({ wait: false }))).toBeNull();
      expect(await a.evaluate(() => q.stats())).toMatchObject({ depth: 0, dead: 0 });
    });

    test("a parked recv in one tab is served by a send in another", async () => {
      const [a, b] = [await openTab(), await openTab()];
      const parked = b.evaluate(async () => (await q.recv())?.data);
      await until(a, async () => (await q.stats()).waiters === 1);
      await a.evaluate(() => q.send({ data: { i: 7 } }));
      expect(await parked).toEqual({ i: 7 });
    });

    test("a recv that was given up hands back what it was given: to the front, attempt not counted", async () => {
      const [a, b] = [await openTab(), await openTab()];
      await b.evaluate(async () => {
        const giveUp = new AbortController();
        const parked = q.recv({ signal: giveUp.signal });
        await q.stats();
        giveUp.abort();
        return parked;
      });
      await a.evaluate(() => sendAll(3, { inFlight: 1 }));
      const first = await a.evaluate(async () => {
        const message = await q.recv();
        return { data: message?.data, attempt: message?.attempt };
      });
      expect(first).toEqual({ data: { i: 0 }, attempt: 1 });
    });

    test("a tab that says goodbye gives back what it held", async () => {
      const [a, b] = [await openTab(), await openTab()];
      await a.evaluate(() => sendAll(2, { inFlight: 1 }));
      await b.evaluate(async () => {
        await q.recv();
        await backend.close();
      });
      const again = await a.evaluate(async () => {
        const message = await q.recv({ timeoutMs: 2000 });
        return { data: message?.data, attempt: message?.attempt };
      });
      expect(again).toEqual({ data: { i: 0 }, attempt: 1 });
    });

    test("a backend that is closed stays so, whatever its hub does then", async () => {
      const a = await stage.profile.open(stage.site.origin);
      const rounds = await a.evaluate(async (mode) => {
        const all: string[][] = [];
        for (let i = 0; i < 20; i++) {
          const last = tabloom.connect({ space: `closing-${i}`, mode });
          const handle = tabloom.queue({ id: "q", schema: anything, backend: last });
          await handle.stats();
          const after: string[] = [];
          all.push(after);
          last.onStatus(({ state }) => after.push(state));
          await last.close();
          const told = handle.stats().then(
            () => "answered",
            (error: unknown) => (error as { code: string }).code,
          );
          after.push(await told);
        }
        return all;
      }, mode);
      expect(rounds).toEqual(rounds.map(() => ["closed", "CLOSED"]));
      expect(rounds).toHaveLength(20);
    });

    test("errors keep class, code, fields and cause on their way from the hub", async () => {
      const a = await openTab({ queue: { limits: { payloadBytes: 20, maxMessages: 1 } } });
      const errors = await a.evaluate(async () => {
        const caught = async (run: () => Promise<unknown>): Promise<unknown> => {
          try {
            return await run();
          } catch (error) {
            const known = error instanceof tabloom.PayloadTooLargeError || error instanceof tabloom.CapacityError;
            const tooFar = error instanceof RangeError;
            return known
              ? Object.assign({}, error, { is: error.constructor.name })
              : { is: tooFar ? "RangeError" : String(error) };
          }
        };
        const big = await caught(() => q.send({ data: { i: 10 ** 20 } }));
        await q.send({ data: { i: 1 } });
        const full = await caught(() => q.send({ data: { i: 2 } }));
        const message = (await q.recv())!;
        const late = await caught(() => message.nack({ delayMs: 8 * 24 * 3_600_000 }));
        return { big, full, late, still: await message.ack() };
      });
      expect(errors.big).toMatchObject({
        is: "PayloadTooLargeError",
        code: "PAYLOAD_TOO_LARGE",
        limitBytes: 20,
        actualBytes: 27,
      });
      expect(errors.full).toMatchObject({ is: "CapacityError", code: "CAPACITY", bound: "maxMessages", limit: 1 });
      expect(errors.late).toEqual({ is: "RangeError" });
      expect(errors.still).toBe(true);
    });
  });

  describe("tabs share a topic", () => {
    test("every listener in every tab hears every event once, in order", async () => {
      const tabs = [await openTab(), await openTab(), await openTab()];
      for (const tab of tabs) {
        await tab.evaluate(async () => {
          globalThis.seen = [];
          const live = t.live();
          void (async () => {
            for await (const event of live) seen.push(event.data);
          })();
          await t.latestCursor();
        });
      }
      await Promise.all(
        tabs.map((tab, k) =>
          tab.evaluate(async (from) => {
            for (let i = 0; i < 100; i++) await t.pub({ data: `${from}:${i}` });
          }, k),
        ),
      );
      const logs: unknown[][] = [];
      for (const tab of tabs) {
        await until(tab, () => seen.length >= 300);
        logs.push(await tab.evaluate(() => seen));
      }
      expect(new Set(logs[0]).size).toBe(300);
      expect(logs[0]).toHaveLength(300);
      expect(logs[1]).toEqual(logs[0]);
      expect(logs[2]).toEqual(logs[0]);
    });

    test("a clock stepped back by an hour does not silence listeners", async () => {
      const [a, b] = [await openTab({ steer: true }), await openTab({ steer: true })];
      await b.evaluate(async () => {
        globalThis.seen = [];
        const live = t.live();
        void (async () => {
          for await (const event of live) seen.push(event.data);
        })();
        await t.latestCursor();
      });
      await a.evaluate(async () => {
        await t.pub({ data: "before" });
        await steer({ stepMs: -3_600_000 });
        await t.pub({ data: "after" });
      });
      await until(b, () => seen.length === 2);
      expect(await b.evaluate(() => seen)).toEqual(["before", "after"]);
      // Heard from the channel, not only found in the log: nothing was read but the anchor.
      await a.evaluate(() => t.pub({ data: "later" }));
      await until(b, () => seen.length === 3);
    });

    test("a group's readers in two tabs split the work; a crashed tab's share is taken over", async () => {
      const [a, b] = [await openTab(), await openTab()];
      await a.evaluate(async () => {
        for (let i = 0; i < 4; i++) await t.pub({ data: i });
      });
      const take = (page: Page): Promise<unknown> =>
        page.evaluate(async () => {
          const event = await t.reader("work").recv({ timeoutMs: 5000 });
          return { data: event?.data, attempt: event?.attempt };
        });
      expect(await take(b)).toEqual({ data: 0, attempt: 1 });
      expect(await take(a)).toEqual({ data: 1, attempt: 1 });
      await stage.profile.crash(b);
      await until(
        a,
        async () =>
          (await t.stats()).groups.work?.pending === 2 &&
          (await t.reader("work").reclaim({ count: 1, minIdleMs: 10 ** 9 })).length === 1,
      );
      expect(await take(a)).toEqual({ data: 2, attempt: 1 });
    });
  });
});
