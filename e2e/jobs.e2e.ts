/** Jobs and schedules whose tabs come and go, in real tabs on the built package. */
import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { until } from "./support/browser.js";
import { MODES, setStage } from "./support/stage.js";

describe.each(MODES)("%s", (mode) => {
  const stage = setStage({ mode });

  async function openTab(options: object = {}): Promise<Page> {
    const page = await stage.profile.open(stage.site.origin, "/e2e/pages/jobs.html");
    await page.evaluate(
      (given) => {
        joinSpace(given);
        return q.stats();
      },
      { mode, ...options },
    );
    return page;
  }

  describe("a job of three steps whose tab is crashed after the second", () => {
    for (const creator of [false, true]) {
      test(`goes on in another tab with the third; the tab ${creator ? "had started" : "had not started"} the hub`, async () => {
        const first = await openTab();
        const second = await openTab();
        const [doomed, heir] = creator ? [first, second] : [second, first];
        const record = await openTab();
        await record.evaluate(() => keepRecord());
        // The heir is there before the crash, and hands nothing to itself: it starts to work afterwards.
        await heir.evaluate(() => workInSteps("heir", {}));
        await doomed.evaluate(() => workInSteps("doomed", { hangAfter: 2 }));
        const id = await doomed.evaluate(() => stepping.submit({ input: { from: 100 } }));
        await until(record, () => noted.some(({ what }) => what === "hangs"));
        const outcome = heir.evaluate((job) => stepping.join({ id: job }), id);
        await stage.profile.crash(doomed);
        await heir.evaluate(() => stepping.start());
        expect(await outcome).toMatchObject({ status: "completed", result: [101, 102, 103] });
        const steps = await record.evaluate(() => noted.filter(({ what }) => what === "step"));
        expect(steps.map(({ by, i }) => `${by} ${i}`)).toEqual(["doomed 1", "doomed 2", "heir 3"]);
        expect(await heir.evaluate((job) => stepping.get(job), id)).toMatchObject({ crashes: 1, failures: 0 });
      });
    }
  });

  describe("a job", () => {
    test("is cancelled from another tab: the handler's signal aborts where it runs", async () => {
      const worker = await openTab();
      const other = await openTab();
      await other.evaluate(() => {
        keepRecord();
        workInSteps("other", {});
      });
      await worker.evaluate(() => workInSteps("worker", { hangAfter: 1 }));
      const id = await worker.evaluate(() => stepping.submit({ input: { from: 0 } }));
      await until(worker, () => noted.some(({ what }) => what === "hangs"));
      expect(await other.evaluate((job) => stepping.cancel({ id: job, reason: "enough" }), id)).toBe(true);
      await until(worker, () => noted.some(({ what }) => what === "aborted"));
      expect(await worker.evaluate((job) => stepping.join({ id: job }), id)).toMatchObject({
        status: "cancelled",
        error: { message: "enough", code: "CANCELLED" },
      });
    });

    test("runs in the hub's own worker when its handler is registered there", async () => {
      const ranIn = mode === "shared-worker" ? "SharedWorkerGlobalScope" : "DedicatedWorkerGlobalScope";
      const page = await openTab({ hosting: true });
      const outcome = await page.evaluate(async () => {
        const hosted = tabloom.job({ id: "hosted", schema: anything, worker: false, process: () => undefined });
        return hosted.join({ id: await hosted.submit({ input: "hello" }) });
      });
      expect(outcome).toMatchObject({
        status: "completed",
        result: { input: "hello", ranIn },
      });
      // The worker's own handle is not a tab.
      expect(await page.evaluate(() => backend.status.tabs)).toBe(1);
    });

    test("survives the hub: what was submitted before it died runs once", async () => {
      const page = await openTab();
      const record = await openTab();
      await record.evaluate(() => keepRecord());
      await page.evaluate(() => workInSteps("page", {}));
      const ids = await page.evaluate(() =>
        Promise.all(Array.from({ length: 50 }, (_, i) => stepping.submit({ input: { from: i * 10 } }))),
      );
      await stage.profile.killHubs();
      const outcomes = await page.evaluate((jobs) => Promise.all(jobs.map((id) => stepping.join({ id }))), ids);
      expect(outcomes.map(({ result }) => result)).toEqual(ids.map((_, i) => [1, 2, 3].map((step) => i * 10 + step)));
      const steps = await page.evaluate(() => noted.filter(({ what }) => what === "step").length);
      expect(steps).toBe(150);
    });
  });

  describe("a schedule", () => {
    test("of a tab that is closed runs in another, once for each slot", async () => {
      const closing = await openTab({ testClock: true });
      const other = await openTab({ testClock: true });
      for (const page of [closing, other]) await page.evaluate(() => scheduleEachMinute());
      await closing.close();
      for (const slots of [1, 2, 3]) {
        await other.evaluate(() => toNextSlot());
        await reach(other, slots);
      }
      const done = await other.evaluate(() => slotsDone());
      expect(done).toEqual([...new Set(done)]);
    });

    test("of a hub that died goes on with the next one: no slot is lost, none runs twice", async () => {
      const page = await openTab({ testClock: true });
      await page.evaluate(() => scheduleEachMinute());
      for (const slots of [1, 2]) {
        await page.evaluate(() => toNextSlot());
        await reach(page, slots);
      }
      // The next hub's clock is the real one again, minutes behind: what ran lies ahead of it, and is not run again.
      await stage.profile.killHubs();
      await page.evaluate(() => ticking.stats());
      for (const slots of [3, 4]) {
        await page.evaluate(() => toNextSlot());
        await reach(page, slots);
      }
      const done = await page.evaluate(() => slotsDone());
      expect(done).toEqual(done.map((_, i) => done[0]! + i * 60_000));
    });
  });

  describe("an entry that is bound to its tab", () => {
    test("ends when the tab is crashed, and is there again after the hub died", async () => {
      const witness = await openTab();
      const bound = await openTab();
      await bound.evaluate(() => bind("bound"));
      expect(await witness.evaluate(() => present())).toEqual(["bound"]);
      await stage.profile.killHubs();
      await until(witness, () => present().then((keys) => keys.length === 1));
      await stage.profile.crash(bound);
      await until(witness, () => present().then((keys) => keys.length === 0));
    });
  });

  describe("a mutex", () => {
    test("of a crashed tab is free at once, and its waiters are served in order", async () => {
      const doomed = await openTab();
      const heir = await openTab();
      const held = await doomed.evaluate(async () => {
        globalThis.lock = (await tabloom.mutex({ id: "m" }).acquire("r", { ttl: 24 * 3_600_000 }))!;
        return lock.token;
      });
      const next = heir.evaluate(
        async () => (await tabloom.mutex({ id: "m" }).acquire("r", { waitMs: 60_000 }))!.token,
      );
      await until(heir, async () => (await tabloom.mutex({ id: "m" }).query("r")).waiting === 1);
      await stage.profile.crash(doomed);
      expect(await next).toBeGreaterThan(held);
    });

    test("stays with its holder when the hub dies; who waits goes on waiting", async () => {
      const holder = await openTab();
      const waiter = await openTab();
      const held = await holder.evaluate(async () => {
        globalThis.m = tabloom.mutex({ id: "m" });
        globalThis.lock = (await m.acquire("r", { ttl: 24 * 3_600_000 }))!;
        return lock.token;
      });
      const next = waiter.evaluate(
        async () => (await tabloom.mutex({ id: "m" }).acquire("r", { waitMs: 60_000 }))!.token,
      );
      await until(waiter, async () => (await tabloom.mutex({ id: "m" }).query("r")).waiting === 1);
      for (let kills = 0; kills < 3; kills++) {
        expect(await stage.profile.killHubs()).toBe(1);
        await until(waiter, async () => (await tabloom.mutex({ id: "m" }).query("r")).waiting === 1);
        const { token, aborted } = await holder.evaluate(async () => ({
          token: (await m.query("r")).holders[0]!.token,
          aborted: lock.signal.aborted,
        }));
        expect({ token, aborted }).toEqual({ token: held, aborted: false });
      }
      await holder.evaluate(() => m.release(lock));
      expect(await next).toBeGreaterThan(held);
    });
  });
});

/** Until so many runs are done: more would show in the next look. */
async function reach(page: Page, slots: number): Promise<void> {
  while ((await page.evaluate(() => slotsDone())).length < slots) await page.waitForTimeout(10);
  expect(await page.evaluate(() => slotsDone())).toHaveLength(slots);
}
