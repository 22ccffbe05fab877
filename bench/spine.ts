/** P2–P6: the way from a tab through the hub and back, or to another tab, against the browser's bare parts. */
import type { Page } from "playwright-core";
import { type Tabs, openTabs, profiling } from "./browser.js";
import type { Run } from "./main.js";
import { type Row, compare } from "./report.js";
import { interleave, means, median, quantile, quantileOfTicks } from "./rounds.js";

/** What one send adds to the journal: message, session mark, keys. */
const COMMIT_BYTES = 256;
/** Longer than the hub waits before a checkpoint, so that none runs into the next side's turn. */
const SETTLE_MS = 1000;

/** As `bench.callLatencies` takes its samples. */
const CALLS_PER_SAMPLE = 25;

interface Bench {
  tabs: Tabs;
  a: Page;
  b: Page;
}

export async function spine(run: Run): Promise<Row[]> {
  const tabs = await openTabs();
  try {
    const bench: Bench = { tabs, a: await tabs.open(), b: await tabs.open() };
    const rows: Row[] = [];
    for (const [target, measure] of Object.entries({
      P2: oneCall,
      P3: manyCalls,
      P4: durableSends,
      P5: twoTabs,
      P6: events,
    })) {
      run.progress(`spine ${target}`);
      rows.push(...(await measure(bench)));
    }
    if (run.profileFolder) await takeProfiles(bench, run.profileFolder);
    return rows;
  } finally {
    await tabs.close();
  }
}

/** Passes a figure on when the hub is idle again. */
async function settled(page: Page, figure: number): Promise<number> {
  await page.waitForTimeout(SETTLE_MS);
  return figure;
}

async function oneCall({ a }: Bench): Promise<Row[]> {
  const { raw, comlink, commit, memory, relaxed } = await interleave({
    raw: async () => median(await a.evaluate(() => bench.raw.pings(1000))),
    comlink: async () => median(await a.evaluate(() => bench.raw.comlinkPings(1000))),
    memory: async () => median(await a.evaluate(() => bench.callLatencies("memory", 1000))),
    commit: async () => {
      const times = await a.evaluate((bytes) => bench.raw.commits(500, bytes), COMMIT_BYTES);
      return median(means(times, CALLS_PER_SAMPLE));
    },
    relaxed: async () => settled(a, median(await a.evaluate(() => bench.callLatencies("relaxed", 500)))),
  });
  return [
    compare({
      target: "P2",
      label: "one call, memory, p50; other: MessagePort round trip",
      unit: "ms",
      ours: memory,
      other: raw,
      wants: "≤ 1.5×",
      met: ({ ratio }) => ratio <= 1.5,
    }),
    compare({
      target: "P2",
      label: "the same by bare Comlink; other: MessagePort round trip",
      unit: "ms",
      ours: comlink,
      other: raw,
      wants: "reported",
    }),
    compare({
      target: "P2",
      label: "one call, durable, p50; other: MessagePort round trip + one commit",
      unit: "ms",
      ours: relaxed,
      other: raw.map((trip, i) => trip + commit[i]!),
      wants: "≤ 1.5×",
      met: ({ ratio }) => ratio <= 1.5,
    }),
  ];
}

async function manyCalls({ a }: Bench): Promise<Row[]> {
  const { ours, other } = await interleave({
    ours: () => a.evaluate(() => bench.sendRate("memory", 60_000, 10_000)),
    other: () => a.evaluate(() => bench.raw.comlinkCalls(20_000, 10_000)),
  });
  return [
    compare({
      target: "P3",
      label: "calls, memory, 10,000 in flight; other: Comlink, one by one",
      unit: "/s",
      ours,
      other,
      wants: "≥ 300,000/s, ≥ 8×",
      met: (figures) => figures.ours >= 300_000 && figures.ratio >= 8,
    }),
  ];
}

async function durableSends({ a }: Bench): Promise<Row[]> {
  const { relaxed, strict, dexie } = await interleave({
    relaxed: async () => settled(a, await a.evaluate(() => bench.sendRate("relaxed", 40_000, 1000))),
    dexie: async () => settled(a, await a.evaluate(() => bench.raw.dexiePuts(2000, 1000))),
    strict: async () => settled(a, await a.evaluate(() => bench.sendRate("strict", 40_000, 1000))),
  });
  return [
    compare({
      target: "P4",
      label: "durable sends, 1,000 in flight; other: Dexie, one put per message",
      unit: "/s",
      ours: relaxed,
      other: dexie,
      wants: "≥ 150,000/s, ≥ 100×",
      met: ({ ours, ratio }) => ours >= 150_000 && ratio >= 100,
    }),
    compare({
      target: "P4",
      label: "strict sends, 1,000 in flight; other: ours, relaxed",
      unit: "/s",
      ours: strict,
      other: relaxed,
      wants: "≥ 0.5×",
      met: ({ ratio }) => ratio >= 0.5,
    }),
  ];
}

async function twoTabs({ a, b }: Bench): Promise<Row[]> {
  /** Messages per second from the first send to the last acknowledgement. */
  const through = async (count: number, inFlight: number): Promise<number> => {
    const consumed = b.evaluate(([n, width]) => bench.consume("relaxed", n!, width!), [count, inFlight]);
    const start = await a.evaluate(([n, width]) => bench.send("relaxed", n!, width!), [count, inFlight]);
    const end = await consumed;
    return settled(a, count / ((end - start) / 1000));
  };
  const { pipelined, sequential } = await interleave({
    pipelined: () => through(20_000, 500),
    sequential: () => through(500, 1),
  });
  return [
    compare({
      target: "P5",
      label: "durable send → receive → ack, two tabs, 500 in flight each",
      unit: "/s",
      ours: pipelined,
      wants: "≥ 40,000/s",
      met: ({ ours }) => ours >= 40_000,
    }),
    compare({
      target: "P5",
      label: "durable send → receive → ack, two tabs, one in flight each",
      unit: "/s",
      ours: sequential,
      wants: "reported",
    }),
  ];
}

async function events({ a, b }: Bench): Promise<Row[]> {
  const EVENTS = 400;
  const sources = ["broadcast", "memory", "relaxed"] as const;
  for (const source of sources) await b.evaluate((name) => bench.listen(name), source);
  const delays = async (source: (typeof sources)[number]): Promise<number[]> => {
    await a.evaluate(([name, count]) => bench.announce(name, count), [source, EVENTS] as const);
    return b.evaluate(([name, count]) => bench.takeHeard(name, count), [source, EVENTS] as const);
  };
  const { broadcast, memory, relaxed, commit } = await interleave({
    broadcast: () => delays("broadcast"),
    memory: () => delays("memory"),
    commit: () => a.evaluate((bytes) => bench.raw.commits(200, bytes), COMMIT_BYTES),
    relaxed: () => delays("relaxed"),
  });
  const row = (q: number, name: string, times: number): Row[] => {
    const raw = broadcast.map((samples) => quantileOfTicks(samples, q));
    const commits = commit.map((samples) => quantile(samples, q));
    const limit = times * median(raw) + 1.5 * median(commits);
    return [
      compare({
        target: "P6",
        label: `event to a listener in another tab, memory, ${name}; other: BroadcastChannel`,
        unit: "ms",
        ours: memory.map((samples) => quantileOfTicks(samples, q)),
        other: raw,
        wants: `≤ ${times}×`,
        met: ({ ratio }) => ratio <= times,
      }),
      compare({
        target: "P6",
        label: `event to a listener in another tab, durable, ${name}; other: BroadcastChannel`,
        unit: "ms",
        ours: relaxed.map((samples) => quantileOfTicks(samples, q)),
        other: raw,
        wants: `≤ ${times}× + 1.5 commits (${median(commits).toFixed(2)} ms each) = ${limit.toFixed(2)} ms`,
        met: ({ ours }) => ours <= limit,
      }),
    ];
  };
  return [...row(0.5, "p50", 2), ...row(0.99, "p99", 3)];
}

async function takeProfiles({ tabs, a, b }: Bench, folder: string): Promise<void> {
  const hub = await tabs.hub("bench");
  const profile = (name: string, page: Page, load: () => Promise<unknown>): Promise<void> =>
    profiling({ folder, name, hub, page }, load);
  await profile("P2-memory", a, () => a.evaluate(() => bench.callLatencies("memory", 5000)));
  await profile("P2-durable", a, () => a.evaluate(() => bench.callLatencies("relaxed", 2000)));
  await profile("P3", a, () => a.evaluate(() => bench.sendRate("memory", 300_000, 10_000)));
  await profile("P4", a, () => a.evaluate(() => bench.sendRate("relaxed", 80_000, 1000)));
  await profile("P4-strict", a, () => a.evaluate(() => bench.sendRate("strict", 80_000, 1000)));
  await profile("P5", b, () =>
    Promise.all([
      b.evaluate(() => bench.consume("relaxed", 40_000, 500)),
      a.evaluate(() => bench.send("relaxed", 40_000, 500)),
    ]),
  );
}
