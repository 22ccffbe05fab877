/** One backlog in a thread of its own, so that a big heap does not slow the small one beside it. */
import { runInNewContext } from "node:vm";
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { parentPort, workerData } from "node:worker_threads";
import { connect, queue, topic } from "../src/memory.js";
import { makePayload, payload } from "./payload.js";

export type Kind = "queue" | "topic";

export interface Backlog {
  kind: Kind;
  waiting: number;
}

/** Microseconds per operation; bytes of heap per waiting message, once. */
export interface Costs {
  add: number;
  take: number;
}

const BLOCK = 250;
const BLOCKS = 40;

const { kind, waiting } = workerData as Backlog;
const backend = connect();
const jobs = queue({ id: "jobs", schema: payload, backend });
const log = topic({ id: "log", schema: payload, backend, maxLen: waiting });
let groups = 0;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

parentPort!.on("message", (wanted: "fill" | "measure") => {
  void (wanted === "fill" ? fill() : measure()).then((answer) => parentPort!.postMessage(answer));
});

/** Returns the heap that a message takes. */
async function fill(): Promise<number> {
  await add(0);
  const before = heap();
  for (let i = 1; i < waiting; i++) await add(i % 90_000);
  return (heap() - before) / (waiting - 1);
}

async function measure(): Promise<Costs> {
  const costs: Costs = { add: 0, take: 0 };
  const reader = log.reader(`group-${groups++}`);
  for (let block = 0; block < BLOCKS; block++) {
    const start = performance.now();
    for (let i = 0; i < BLOCK; i++) await add(i);
    const middle = performance.now();
    for (let i = 0; i < BLOCK; i++) {
      if (kind === "queue") await (await jobs.recv())!.ack();
      else await (await reader.recv())!.commit();
    }
    costs.add += middle - start;
    costs.take += performance.now() - middle;
  }
  const perOperation = 1000 / (BLOCK * BLOCKS);
  return { add: costs.add * perOperation, take: costs.take * perOperation };
}

function add(i: number): Promise<unknown> {
  return kind === "queue" ? jobs.send({ data: makePayload(i) }) : log.pub({ data: makePayload(i) });
}

function heap(): number {
  for (let i = 0; i < 3; i++) collectGarbage();
  return getHeapStatistics().used_heap_size;
}
