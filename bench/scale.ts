/** P8, P9: what a backlog of 1,000,000 costs, per operation and in memory. */
import { Worker } from "node:worker_threads";
import type { Page } from "playwright-core";
import { heapOf, openTabs } from "./browser.js";
import { type Backlog, type Costs, type Kind, operationsOf } from "./loads.js";
import type { Run } from "./main.js";
import { type Row, compare } from "./report.js";
import { interleave } from "./rounds.js";

const MANY = 1_000_000;
const FEW = 1000;
/** Of schedules nobody has a million. */
const MANY_SCHEDULES = 10_000;

export async function scale(run: Run): Promise<Row[]> {
  const rows: Row[] = [];
  for (const kind of Object.keys(operationsOf) as Kind[]) {
    run.progress(`scale: ${kind} in Node`);
    rows.push(...(await engineCosts(kind)));
  }
  run.progress("scale: costs in the hub");
  rows.push(...(await hubCosts()));
  for (const count of [200_000, MANY]) {
    run.progress(`scale: heap of ${count} messages in the hub`);
    rows.push(await hubHeap(count));
  }
  return rows.sort((a, b) => a.target.localeCompare(b.target));
}

// --- The engine in Node ---------------------------------------------------------------------------------------------

async function engineCosts(kind: Kind): Promise<Row[]> {
  const waiting = kind === "scheduler" ? MANY_SCHEDULES : MANY;
  const many = startThread({ kind, waiting });
  const few = startThread({ kind, waiting: FEW });
  const bytes = await many.ask<number>("fill");
  await few.ask("fill");
  const costs = await interleave({ many: () => many.ask<Costs>("measure"), few: () => few.ask<Costs>("measure") });
  await Promise.all([many.stop(), few.stop()]);
  const { first, second, item } = operationsOf[kind];
  const row = (name: string, key: keyof Costs): Row =>
    costRow(
      `${kind} ${name}, engine in Node`,
      costs.many.map((cost) => cost[key]),
      costs.few.map((cost) => cost[key]),
      waiting,
    );
  return [row(first, "first"), row(second, "second"), heapRow(item, `${kind}, engine in Node`, waiting, bytes)];
}

function startThread(backlog: Backlog) {
  const worker = new Worker(new URL("./engine-thread.js", import.meta.url), { workerData: backlog });
  return {
    ask: <Answer>(wanted: "fill" | "measure"): Promise<Answer> =>
      new Promise((resolve, reject) => {
        worker.once("message", resolve);
        worker.once("error", reject);
        worker.postMessage(wanted);
      }),
    stop: () => worker.terminate(),
  };
}

// --- The hub --------------------------------------------------------------------------------------------------------

async function hubCosts(): Promise<Row[]> {
  const tabs = await openTabs();
  try {
    const page = await tabs.open();
    for (const [space, count] of [
      ["many", MANY],
      ["few", FEW],
    ] as const) {
      await page.evaluate(([name, n]) => bench.fillQueue("memory", name, n), [space, count] as const);
      await page.evaluate(([name, n]) => bench.fillTopic(name, n), [space, count] as const);
    }
    const queue = await interleave({
      many: () => page.evaluate(() => bench.queueCosts("many", 20)),
      few: () => page.evaluate(() => bench.queueCosts("few", 20)),
    });
    const topic = await interleave({
      many: () => page.evaluate(() => bench.topicCosts("many", 20)),
      few: () => page.evaluate(() => bench.topicCosts("few", 20)),
    });
    const take = <K extends string>(
      name: string,
      costs: { many: Record<K, number>[]; few: Record<K, number>[] },
      key: K,
    ) =>
      costRow(
        `${name}, tab and hub`,
        costs.many.map((cost) => cost[key]),
        costs.few.map((cost) => cost[key]),
      );
    return [
      take("queue send", queue, "send"),
      take("queue claim + ack", queue, "claimAndAck"),
      take("topic publish", topic, "publish"),
      take("topic claim + commit", topic, "claimAndCommit"),
    ];
  } finally {
    await tabs.close();
  }
}

/** Heap of the hub's worker per waiting durable message, everything written to the checkpoint. */
async function hubHeap(count: number): Promise<Row> {
  const tabs = await openTabs();
  try {
    const page = await tabs.open();
    await page.evaluate(() => bench.fillQueue("relaxed", "heap", 1000));
    const hub = await tabs.hub("heap");
    await checkpointed(page, "heap");
    const before = await heapOf(hub);
    for (let filled = 0; filled < count; filled += 200_000) {
      await page.evaluate(() => bench.fillQueue("relaxed", "heap", 200_000));
      await checkpointed(page, "heap");
    }
    const bytes = ((await heapOf(hub)) - before) / count;
    return heapRow("message of 100 B", "durable queue in the hub", count, bytes);
  } finally {
    await tabs.close();
  }
}

/** Waits until the journal is empty: everything is in the checkpoint. */
export async function checkpointed(page: Page, space: string): Promise<void> {
  while ((await page.evaluate((name) => bench.journalLength(name), space)) > 0) await page.waitForTimeout(100);
}

function costRow(label: string, ours: number[], other: number[], waiting = MANY): Row {
  return compare({
    target: "P8",
    label: `${label}, ${waiting.toLocaleString("en")} waiting; other: 1,000 waiting`,
    unit: "µs",
    ours,
    other,
    wants: "≤ 1.3×",
    met: ({ ratio }) => ratio <= 1.3,
  });
}

/** The target is one for messages; of other primitives the figure is told without. */
function heapRow(item: string, label: string, count: number, bytes: number): Row {
  return compare({
    target: "P9",
    label: `heap per ${item}, ${label}, ${count.toLocaleString("en")} of them`,
    unit: "B",
    ours: [bytes],
    ...(item.startsWith("message") ? { wants: "≤ 400 B", met: ({ ours }) => ours <= 400 } : { wants: "reported" }),
  });
}
