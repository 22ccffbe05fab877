import type { JobStatus } from "../protocol/commands.js";
import { type Origin, type ScheduledRun, runItem } from "../protocol/scheduled-run.js";
import type { Schedule } from "./scheduler-rows.js";
import type { Tools } from "./script.js";

/** Whether a living process has a handle of the job that has begun to work, be it a producer. */
export async function isServed({ visit }: Tools, { item: { job } }: Schedule): Promise<boolean> {
  const { handlers } = await visit(job).call("job.stats", {});
  return handlers > 0;
}

const ENDS: readonly (JobStatus | undefined)[] = [undefined, "completed", "failed", "cancelled"];

/** Whether one of the last runs is still under way. */
export async function isRunning({ visit }: Tools, { item: { job }, progress }: Schedule): Promise<boolean> {
  const runs = [progress.lastRunId, progress.manualRunId].filter((jobId) => jobId !== "");
  const found = await Promise.all(runs.map(async (jobId) => visit(job).call("job.get", { jobId })));
  return found.some((run) => !ENDS.includes(run?.status));
}

/** Its id, or that of an earlier run of the same key. Rejects with what the job refuses with. */
export async function submit(
  { visit }: Tools,
  { item }: Schedule,
  run: ScheduledRun,
  fence?: { by: string; epoch: number },
): Promise<string> {
  const submitted = { ...runItem(item, run), ...(fence === undefined ? {} : { fence }) };
  return (await visit(item.job).call("job.submit", submitted)) ?? run.jobId;
}

export function originOf({ name }: Tools, seed: string, { item, progress }: Schedule): Origin {
  return { name, seed, scheduleId: item.scheduleId, serial: progress.serial };
}
