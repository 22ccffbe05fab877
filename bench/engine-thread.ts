/** One backlog in a thread of its own, so that a big heap does not slow the small one beside it. */
import { runInNewContext } from "node:vm";
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { parentPort, workerData } from "node:worker_threads";
import { type Backlog, type Costs, makeLoad } from "./loads.js";

const BLOCK = 250;
const BLOCKS = 40;

const { kind, waiting } = workerData as Backlog;
const load = makeLoad(kind, waiting);

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

parentPort!.on("message", (wanted: "fill" | "measure") => {
  void (wanted === "fill" ? fill() : measure()).then((answer) => parentPort!.postMessage(answer));
});

/** Returns the heap that one item of the backlog takes. */
async function fill(): Promise<number> {
  await load.fill(0);
  const before = heap();
  for (let i = 1; i < waiting; i++) await load.fill(i);
  return (heap() - before) / (waiting - 1);
}

async function measure(): Promise<Costs> {
  const costs: Costs = { first: 0, second: 0 };
  await load.begin?.();
  for (let block = 0; block < BLOCKS; block++) {
    const start = performance.now();
    for (let i = 0; i < BLOCK; i++) await load.first(i);
    const middle = performance.now();
    for (let i = 0; i < BLOCK; i++) await load.second(i);
    costs.first += middle - start;
    costs.second += performance.now() - middle;
  }
  const perOperation = 1000 / (BLOCK * BLOCKS);
  return { first: costs.first * perOperation, second: costs.second * perOperation };
}

function heap(): number {
  for (let i = 0; i < 3; i++) collectGarbage();
  return getHeapStatistics().used_heap_size;
}
