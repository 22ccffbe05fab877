/** P12: from the kill -9 of a worker process to its job's next run by another one, with the settings of each by default. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { Worker } from "bullmq";
import { job } from "../src/server.js";
import { makePayload, payload } from "./payload.js";
import { type Bench, bullQueueOf, onServer, producerOf } from "./redis-sides.js";
import { type Row, compare } from "./report.js";

export async function kills(): Promise<Row[]> {
  // At once: both do little but wait.
  const [ours, bullmq] = await Promise.all([onServer("none", killOurs), onServer("none", killBullmq)]);
  const row = compare({
    target: "P12",
    label: "kill -9 of a worker to the next run of its job; other: BullMQ",
    unit: "s",
    ours: [ours],
    other: [bullmq],
    wants: "≤ 11 s",
    met: ({ ours: seconds }) => seconds <= 11,
  });
  return [row];
}

async function killOurs({ server, backend }: Bench): Promise<number> {
  await producerOf(backend, "killed").submit({ input: makePayload(0) });
  const killedAt = await killedWorker("tabloom", server.url);
  await new Promise<void>((resolve) => {
    const process = (): Promise<void> => Promise.resolve(resolve());
    void job({ id: "killed", schema: payload, backend, retentionCount: 0, process }).start();
  });
  return (performance.now() - killedAt) / 1000;
}

async function killBullmq({ server, bullmq }: Bench): Promise<number> {
  const tasks = bullQueueOf(bullmq, "killed");
  await tasks.add("task", makePayload(0));
  const killedAt = await killedWorker("bullmq", server.url);
  let worker!: Worker;
  await new Promise<void>((resolve) => {
    worker = new Worker("killed", () => Promise.resolve(resolve()), { connection: bullmq });
  });
  const seconds = (performance.now() - killedAt) / 1000;
  await worker.close();
  await tasks.close();
  return seconds;
}

/** Runs one until it has begun its job, then ends it; resolves with the time of its death. */
async function killedWorker(side: "tabloom" | "bullmq", url: string): Promise<number> {
  const file = join(import.meta.dirname, "redis-worker.js");
  const child = spawn(process.execPath, [file, side, url], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
  return performance.now();
}
