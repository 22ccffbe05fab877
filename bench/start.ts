/** P7: how long a hub takes to start with what is on disk, and what a million waiting messages of 1 KB cost it. */
import { type Tabs, heapOf, openTabs } from "./browser.js";
import type { Run } from "./main.js";
import { type Row, compare } from "./report.js";
import { interleave } from "./rounds.js";
import { checkpointed } from "./scale.js";

const BACKLOG = 1_000_000;
const BACKLOG_BYTES = 1000;
/** More than the hub keeps in memory of such messages: those behind them are on disk. */
const IN_MEMORY = 80_000;
const MIB = 1024 * 1024;

export async function start(run: Run): Promise<Row[]> {
  const rows: Row[] = [];
  run.progress("start: 10,000 and 100,000 durable rows");
  rows.push(...(await starts()));
  run.progress(`start: ${BACKLOG.toLocaleString("en")} messages of 1 KB`);
  rows.push(...(await backlog(run)));
  return rows;
}

async function starts(): Promise<Row[]> {
  const tabs = await openTabs();
  try {
    const page = await tabs.open();
    const spaces = { none: 1000, some: 10_000, many: 100_000 };
    for (const [space, count] of Object.entries(spaces)) {
      await page.evaluate(([name, n]) => bench.fillQueue("relaxed", name, n), [space, count] as const);
      await checkpointed(page, space);
    }
    const figures = await interleave({
      none: () => firstAnswer(tabs, "none"),
      some: () => firstAnswer(tabs, "some"),
      many: () => firstAnswer(tabs, "many"),
    });
    const row = (count: string, ours: number[], most: number): Row =>
      compare({
        target: "P7",
        label: `hub start to its first answer, ${count} durable rows; other: 1,000 rows`,
        unit: "ms",
        ours,
        other: figures.none,
        wants: `≤ ${most} ms`,
        met: ({ ours: took }) => took <= most,
      });
    return [row("10,000", figures.some, 150), row("100,000", figures.many, 1000)];
  } finally {
    await tabs.close();
  }
}

/** In a page of its own, no hub running; the worker's script is loaded and run within that time, too. */
async function firstAnswer(tabs: Tabs, space: string): Promise<number> {
  await tabs.end();
  const page = await tabs.open();
  return page.evaluate((name) => bench.firstAnswer(name), space);
}

async function backlog(run: Run): Promise<Row[]> {
  const tabs = await openTabs();
  const many = "many";
  const label = `${BACKLOG.toLocaleString("en")} waiting messages of 1 KB`;
  const reported = (what: string, unit: string, figure: number): Row =>
    compare({ target: "P7", label: `${what}, ${label}`, unit, ours: [figure], wants: "reported" });
  try {
    let page = await tabs.open();
    await page.evaluate(([name, bytes]) => bench.fillQueue("relaxed", name, 1000, bytes), [
      many,
      BACKLOG_BYTES,
    ] as const);
    const heap = async (): Promise<number> => {
      const hub = await tabs.hub(many);
      const bytes = await heapOf(hub);
      await hub.detach();
      return bytes;
    };
    const before = await heap();
    for (let sent = 0; sent < BACKLOG; sent += 100_000) {
      run.progress(`  ${sent.toLocaleString("en")} sent`);
      await page.evaluate(([name, bytes]) => bench.fillQueue("relaxed", name, 100_000, bytes), [
        many,
        BACKLOG_BYTES,
      ] as const);
      await checkpointed(page, many);
    }
    const filled = (await heap()) - before;
    await tabs.end();
    page = await tabs.open();
    const took = await page.evaluate((name) => bench.firstAnswer(name), many);
    const restored = (await heap()) - before;
    await page.evaluate(([name, count]) => bench.drain(name, count), [many, IN_MEMORY] as const);
    await page.evaluate(([bytes]) => bench.fillQueue("relaxed", "few", 1000, bytes), [BACKLOG_BYTES] as const);
    const options = { durability: "relaxed", bytes: BACKLOG_BYTES } as const;
    const costs = await interleave({
      many: () => page.evaluate((given) => bench.queueCosts("many", 10, given), options),
      few: () => page.evaluate((given) => bench.queueCosts("few", 10, given), options),
    });
    const cost = (what: string, key: "send" | "claimAndAck"): Row =>
      compare({
        target: "P7",
        label: `durable queue ${what}, ${label}, payloads on disk; other: 1,000 waiting, in memory`,
        unit: "µs",
        ours: costs.many.map((figures) => figures[key]),
        other: costs.few.map((figures) => figures[key]),
        wants: "reported",
      });
    return [
      reported("heap of the hub", "MiB", filled / MIB),
      reported("hub start to its first answer", "ms", took),
      reported("heap of the hub after the start", "MiB", restored / MIB),
      cost("send", "send"),
      cost("claim + ack", "claimAndAck"),
    ];
  } finally {
    await tabs.close();
  }
}
