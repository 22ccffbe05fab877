/** P10 and P18: what the death of a tab costs the others, and what an idle tab costs its page. */
import type { CDPSession, Page } from "playwright-core";
import { type Tabs, openTabs } from "./browser.js";
import type { Run } from "./main.js";
import { type Row, compare } from "./report.js";
import { interleave } from "./rounds.js";

const IDLE_MS = 60_000;
/** What a start leaves to do is done by then. */
const SETTLE_MS = 5000;
const ACKNOWLEDGED_AFTER = 100;

export async function tabs(run: Run): Promise<Row[]> {
  const browser = await openTabs();
  try {
    run.progress("tabs P10");
    const rows = await crashes(browser);
    run.progress(`tabs P18: ${IDLE_MS / 1000} s of rest`);
    rows.push(...(await idle(browser)));
    return rows;
  } finally {
    await browser.close();
  }
}

async function crashes(browser: Tabs): Promise<Row[]> {
  const { survives, shared, leads, killed } = await interleave({
    survives: () => redelivery(browser, { mode: "shared-worker", doomedFirst: false }),
    shared: () => redelivery(browser, { mode: "shared-worker", doomedFirst: true }),
    leads: () => redelivery(browser, { mode: "elected-tab", doomedFirst: true }),
    killed: () => leaderKilled(browser),
  });
  const row = (label: string, ours: number[], most: number): Row =>
    compare({ target: "P10", label, unit: "ms", ours, wants: `≤ ${most} ms`, met: ({ ours: took }) => took <= most });
  return [
    row("tab crash to redelivery of its lease, the hub survives", survives, 100),
    row("the same, the tab had started the hub, which dies with it", shared, 400),
    row("the same, an elected tab", leads, 400),
    row("elected tab killed to the next acknowledged call of another", killed, 300),
  ];
}

let spaces = 0;

/** From the crash of a tab to the other's receipt of what it held. */
async function redelivery(
  browser: Tabs,
  { mode, doomedFirst }: { mode: "shared-worker" | "elected-tab"; doomedFirst: boolean },
): Promise<number> {
  const space = `crash-${++spaces}`;
  const [doomed, witness] = [await browser.open(), await browser.open()];
  for (const page of doomedFirst ? [doomed, witness] : [witness, doomed]) {
    await page.evaluate(([name, way]) => bench.join(name, way), [space, mode] as const);
  }
  await doomed.evaluate((name) => bench.hold(name), space);
  const received = witness.evaluate((name) => bench.received(name), space);
  await witness.waitForTimeout(SETTLE_MS / 5);
  const crashedAt = Date.now();
  await browser.crash(doomed);
  const took = (await received) - crashedAt;
  await Promise.all([doomed.close(), witness.close()]);
  return took;
}

/** The gap that the death of the elected tab makes in the acknowledgements of another. */
async function leaderKilled(browser: Tabs): Promise<number> {
  const space = `crash-${++spaces}`;
  const [leader, witness] = [await browser.open(), await browser.open()];
  for (const page of [leader, witness]) {
    await page.evaluate((name) => bench.join(name, "elected-tab"), space);
  }
  await witness.evaluate((name) => bench.sendOn(name), space);
  await witness.waitForTimeout(SETTLE_MS / 5);
  const gap = witness.evaluate((more) => bench.longestGap(more), ACKNOWLEDGED_AFTER);
  await browser.crash(leader);
  const took = await gap;
  await Promise.all([leader.close(), witness.close()]);
  return took;
}

async function idle(browser: Tabs): Promise<Row[]> {
  const tabsOf = {
    "shared-worker": ["a tab"],
    "elected-tab": ["the elected tab", "another tab"],
    "single-tab": ["the only tab"],
  } as const;
  const resting: { label: string; page: Page; session: CDPSession }[] = [];
  for (const [mode, names] of Object.entries(tabsOf) as [keyof typeof tabsOf, readonly string[]][]) {
    for (const name of names) {
      const page = await browser.open("/bench/idle.html");
      await page.evaluate(([space, way]) => bench.join(space, way), [`idle-${mode}`, mode] as const);
      const session = await page.context().newCDPSession(page);
      await session.send("Performance.enable");
      resting.push({ label: `${mode}, ${name}`, page, session });
    }
  }
  await resting[0]!.page.waitForTimeout(SETTLE_MS);
  const measure = (): Promise<Measured[]> => Promise.all(resting.map(measured));
  // The first look runs a script itself.
  await measure();
  const before = await measure();
  await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
  const after = await measure();
  return resting.flatMap(({ label }, i) => {
    const spent = (key: keyof Measured): number[] => [after[i]![key] - before[i]![key]];
    return [
      compare({
        target: "P18",
        label: `timers set or fired in ${IDLE_MS / 1000} s of rest: ${label}`,
        unit: "",
        ours: spent("timers"),
        wants: "0",
        met: ({ ours }) => ours === 0,
      }),
      compare({
        target: "P18",
        label: `tasks of the main thread in that time, in all: ${label}`,
        unit: "ms",
        ours: spent("taskMs"),
        wants: "reported",
      }),
    ];
  });
}

interface Measured {
  timers: number;
  /** Of everything that the main thread did, the browser's own tasks and these looks among them. */
  taskMs: number;
}

async function measured({ page, session }: { page: Page; session: CDPSession }): Promise<Measured> {
  const timers = await page.evaluate(() => (globalThis as unknown as { timers: number }).timers);
  const { metrics } = await session.send("Performance.getMetrics");
  const seconds = metrics.find(({ name }) => name === "TaskDuration")!.value;
  return { timers, taskMs: seconds * 1000 };
}
