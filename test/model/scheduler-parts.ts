import type { JobRecord, OpenBody, Reply, SchedulerConfig } from "../../src/protocol/commands.js";
import type { EngineDriver } from "./engine-driver.js";

export const schedulerConfig: SchedulerConfig = {
  strictHandlers: true,
  graceMs: 30_000,
  tickMs: 500,
  maxSubmitsPerTick: 500,
  submitRetries: 2,
  submitBackoffBaseMs: 100,
  submitBackoffMaxMs: 150,
  scheduledJobKeyTtlMs: 90 * 24 * 3_600_000,
  dlqMaxEntries: 20,
  maxConsecutiveDispatchFailures: 2,
  leaseMs: 5000,
  heartbeatMs: 500,
  batchSize: 200,
};

export function schedulerNamed(id: string, config: Partial<SchedulerConfig>): OpenBody<"scheduler"> {
  return {
    name: { prefix: "", kind: "scheduler", tenantId: "default", id },
    config: { ...schedulerConfig, ...config },
    durability: "relaxed",
    seed: "GENERATE",
  };
}

export function jobNamed(id: string): OpenBody<"job"> {
  return {
    name: { prefix: "", kind: "job", tenantId: "default", id },
    config: { globalConcurrency: 0, maxCrashes: 5, timeoutMs: 0, retentionMs: 1e12, retentionCount: 100_000 },
    durability: "relaxed",
    seed: "GEN",
  };
}

/** What a scheduler's run says of itself. */
export interface RunMeta {
  scheduleId: string;
  scheduleSlotTs?: number;
  schedulerId: string;
}

/** Every job of this name, in order of submission. */
export function jobsOf(driver: EngineDriver, id: string): (JobRecord & { run: RunMeta })[] {
  const found: JobRecord[] = [];
  for (let after: string | undefined; ;) {
    const reply = driver.ask(id, "job.list", { limit: 1000, ...(after === undefined ? {} : { after }) });
    const { entries, next } = (reply as { value: Reply<"job.list"> }).value;
    found.push(...entries);
    if (next === undefined) break;
    after = next;
  }
  return found.map((record) => ({ ...record, run: JSON.parse(record.meta!) as RunMeta }));
}
