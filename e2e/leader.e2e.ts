/** The tab that hosts the hub of all: what may befall it, and what the others see of that. */
import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { until } from "./support/browser.js";
import { MODES, setStage } from "./support/stage.js";

const statusOf = (page: Page) => page.evaluate(() => backend.status);
/** What is in the queue, in its order. Nothing is settled. */
const contentOf = (page: Page): Promise<number[]> =>
  page.evaluate(async () =>
    (await q.recvMany({ max: 1000, wait: false, leaseMs: 3_600_000 })).map(({ data }) => data.i),
  );
const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

const KILLS = 20;

/** Looks after its hub, as a tab does that comes to the front. */
const look = (): void => void document.dispatchEvent(new Event("visibilitychange"));

describe("a leader that goes", () => {
  const stage = setStage({ mode: "elected-tab" });
  const ends: Record<string, (page: Page) => Promise<unknown>> = {
    "is crashed": (page) => stage.profile.crash(page),
    "is closed": (page) => page.close(),
    "is loaded again": (page) => page.reload(),
    "is navigated away": (page) => page.goto(`${stage.site.origin}/e2e/pages/elsewhere.html`),
    "closes its backend, and its page stays": (page) => page.evaluate(() => backend.close()),
  };

  test.each(Object.keys(ends))("and %s leaves the space to another tab; each call has one effect", async (how) => {
    const [leader, a, b] = [await stage.openTab(), await stage.openTab(), await stage.openTab()];
    const before = (await statusOf(a)).epoch;
    const sending = a.evaluate(() => sendAll(300, { inFlight: 20 }));
    // Parked at the hub that goes, and answered by the next one.
    const parked = b.evaluate(async () => (await tabloom.queue({ id: "later", schema: anything }).recv())?.data);
    await until(a, async () => (await q.stats()).depth > 30);
    await ends[how]!(leader);
    expect(new Set(await sending).size).toBe(300);
    await a.evaluate(() => tabloom.queue({ id: "later", schema: anything }).send({ data: "at last" }));
    expect(await parked).toBe("at last");
    expect((await contentOf(b)).sort((x, y) => x - y)).toEqual(upTo(300));
    const [atA, atB] = [await statusOf(a), await statusOf(b)];
    expect(atA.epoch).not.toBe(before);
    expect(atB).toMatchObject({ epoch: atA.epoch, mode: "elected-tab", durable: true, tabs: 2 });
    expect(a.workers().length + b.workers().length).toBe(1);
  });

  test("twenty times, under load: none is lost, none comes twice", { timeout: 240_000 }, async () => {
    const tabs = [await openSender(0), await openSender(1), await openSender(2)];
    const acknowledged: number[] = [];
    const gaps: number[] = [];
    for (let kills = 0; kills < KILLS; kills++) {
      const leader = await leaderOf(tabs);
      const others = tabs.filter((page) => page !== leader);
      acknowledged.push(...(await acknowledgedBy(leader)));
      const counts = await Promise.all(others.map((page) => page.evaluate(() => acks.length)));
      await stage.profile.crash(leader);
      gaps.push(...(await Promise.all(others.map((page, i) => longestGap(page, counts[i]!)))));
      await leader.close();
      tabs.splice(tabs.indexOf(leader), 1, await openSender(3 + kills));
    }
    const sorted = gaps.map(Math.round).sort((x, y) => x - y);
    console.log(
      `leader killed to next acknowledged call: ${sorted[KILLS]} ms in the middle, ${sorted.at(-1)} ms at most`,
    );
    for (const page of tabs) {
      await page.evaluate(() => stopConsuming());
      acknowledged.push(...(await acknowledgedBy(page)));
    }
    const got: number[] = [];
    for (let found; (found = await contentOf(tabs[0]!)).length > 0;) got.push(...found);
    const found = new Set(got);
    expect(got.length - found.size, "doubled").toBe(0);
    expect(acknowledged.filter((i) => !found.has(i)).slice(0, 10), "lost").toEqual([]);
    expect(acknowledged.length).toBeGreaterThan(20 * KILLS);
  });

  /** Sends all the time, and takes down what was acknowledged, when. */
  async function openSender(number: number): Promise<Page> {
    const page = await stage.openTab();
    await page.evaluate((first) => {
      globalThis.acks = [];
      const stop = new AbortController();
      let next = first;
      const one = async (): Promise<void> => {
        while (!stop.signal.aborted) {
          const i = next++;
          await q.send({ data: { i } });
          acks.push({ i, at: performance.now() });
          await new Promise((resolve) => setTimeout(resolve, 2));
        }
      };
      const loops = Promise.all([one(), one(), one()]);
      globalThis.stopConsuming = async () => {
        stop.abort();
        await loops;
      };
    }, number * 1_000_000);
    return page;
  }

  const acknowledgedBy = (page: Page): Promise<number[]> => page.evaluate(() => acks.map(({ i }) => i));

  /** Between two acknowledgements, from those that were known before on. */
  async function longestGap(page: Page, before: number): Promise<number> {
    await page.waitForFunction((count) => acks.length > count + 30, before);
    return page.evaluate((count) => {
      const times = acks.slice(Math.max(0, count - 1)).map(({ at }) => at);
      return Math.max(...times.slice(1).map((at, i) => at - times[i]!));
    }, before);
  }

  async function leaderOf(tabs: readonly Page[]): Promise<Page> {
    for (;;) {
      const leader = tabs.find((page) => page.workers().length > 0);
      if (leader) return leader;
      await tabs[0]!.waitForTimeout(5);
    }
  }
});

describe("a hub that hangs", () => {
  const stage = setStage({ mode: "elected-tab" });

  /** A call that the hub gets and does not answer: it is found in its inbox by whoever wakes. */
  async function hang(page: Page, hangMs: number): Promise<void> {
    await page.evaluate(async (ms) => {
      await sendAll(3, { inFlight: 1 });
      steering.postMessage({ hangMs: ms });
      await new Promise((resolve) => setTimeout(resolve, 200));
      void q.send({ data: { i: 3 } });
    }, hangMs);
  }

  for (const finder of ["its own tab", "another"]) {
    test(`while its tab lives is replaced as soon as ${finder} looks after it`, async () => {
      const [leader, other] = [await stage.openTab({ steer: true }), await stage.openTab({ steer: true })];
      const before = (await statusOf(other)).epoch;
      await hang(leader, 60_000);
      const start = Date.now();
      await (finder === "another" ? other : leader).evaluate(look);
      await until(leader, () => q.stats().then(({ depth }) => depth === 4));
      console.log(`replaced a hub that hung ${Date.now() - start} ms after ${finder} had looked`);
      await other.evaluate(() => q.send({ data: { i: 4 } }));
      expect(await contentOf(leader)).toEqual(upTo(5));
      expect((await statusOf(leader)).epoch).not.toBe(before);
      expect(await statusOf(other)).toMatchObject({ epoch: (await statusOf(leader)).epoch, tabs: 2 });
    });
  }

  test("together with its tab loses the space, and when both wake it cannot write", async () => {
    const [leader, other] = [await stage.openTab({ steer: true }), await stage.openTab({ steer: true })];
    await hang(leader, 9000);
    const hung = leader.evaluate(() => {
      const end = performance.now() + 9000;
      while (performance.now() < end);
    });
    await other.evaluate(look);
    // Another owns by now, and this is the first that it writes.
    await other.evaluate(() => q.send({ data: { i: 4 } }));
    const owner = (await statusOf(other)).epoch;
    await hung;
    await until(leader, () => q.stats().then(({ depth }) => depth === 5));
    // It woke with that call in its inbox; the tab sent it again to the owner.
    expect((await contentOf(leader)).sort((x, y) => x - y)).toEqual(upTo(5));
    expect([(await statusOf(leader)).epoch, (await statusOf(other)).epoch]).toEqual([owner, owner]);
    await stage.restart();
    expect((await contentOf(await stage.openTab())).sort((x, y) => x - y)).toEqual(upTo(5));
  });
});

describe.each(MODES)("twenty tabs at once, %s", (mode) => {
  const stage = setStage({ mode });

  test("have one hub, and each an answer within its deadline", { timeout: 180_000 }, async () => {
    const pages = await Promise.all(upTo(20).map(() => stage.profile.open(stage.site.origin)));
    const found = await Promise.all(
      pages.map((page, i) =>
        page.evaluate(
          async (given) => {
            const start = performance.now();
            join("test", { mode: given.mode });
            await q.send({ data: { i: given.i } });
            return { ms: performance.now() - start, status: backend.status };
          },
          { mode, i },
        ),
      ),
    );
    const times = found.map(({ ms }) => Math.round(ms)).sort((x, y) => x - y);
    console.log(`20 tabs, first call: ${times[10]} ms in the middle, ${times.at(-1)} ms at most`);
    for (const { status } of found) expect(status).toMatchObject({ mode, durable: true });
    const epochs = await Promise.all(pages.map(async (page) => (await statusOf(page)).epoch));
    expect(new Set(epochs).size).toBe(1);
    const owners = await pages[0]!.evaluate(async () =>
      (await navigator.locks.query()).held!.filter(({ name }) => name!.endsWith(":owner")),
    );
    expect(owners).toHaveLength(1);
    expect((await contentOf(pages[7]!)).sort((x, y) => x - y)).toEqual(upTo(20));
    expect(await statusOf(pages[7]!)).toMatchObject({ tabs: 20, state: "ready" });
  });
});
