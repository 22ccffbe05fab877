import { assert } from "chai";
import type { Job, JobEventOf, JobOptions, Schema } from "../../src/memory.js";
import { z } from "zod";
import type { World } from "./case.js";
import { eventually } from "./expectations.js";

/** Something that happens once, and somebody who waits for it. */
export interface Gate<T> {
  readonly opened: Promise<T>;
  open(value: T): void;
}

export function gate<T = void>(): Gate<T> {
  let open!: (value: T) => void;
  const opened = new Promise<T>((resolve) => (open = resolve));
  return { opened, open };
}

/** Resolves with the reason when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason);
    else signal.addEventListener("abort", () => resolve(signal.reason), { once: true });
  });
}

type Settings<R> = Partial<JobOptions<typeof text, R>>;

export const text = z.string();

/** A job whose input is a text. */
export function textJob<R>(
  world: World,
  process: JobOptions<typeof text, R>["process"],
  settings: Settings<R> = {},
): Job<typeof text, R> {
  return world.job({ id: world.id(), schema: text, process, ...settings } as JobOptions<typeof text, R>);
}

/** A job that nobody runs: its handle only submits. */
export function idleJob(world: World, settings: Settings<string> = {}): Job<typeof text, string> {
  return textJob(world, ({ input }) => input, { worker: false, ...settings });
}

/** Runs every job, and notes the inputs in the order in which they began. */
export function recorder(): { seen: string[]; process: (run: { input: string }) => string } {
  const seen: string[] = [];
  return {
    seen,
    process({ input }) {
      seen.push(input);
      return input;
    },
  };
}

/** Resolves when the job stands there. */
export async function reaches<S extends Schema, R>(job: Job<S, R>, id: string, status: string): Promise<void> {
  await eventually(async () => (await job.get(id))?.status === status, `job is ${status}`);
}

/** Everything that happened to a job so far. */
export async function eventsOf<S extends Schema, R>(job: Job<S, R>, id: string): Promise<JobEventOf[]> {
  const reader = job.events(id).reader();
  const found: JobEventOf[] = [];
  for await (const { data } of reader.stream({ wait: false })) found.push(data);
  await reader.close();
  return found;
}

export async function typesOf<S extends Schema, R>(job: Job<S, R>, id: string): Promise<string[]> {
  return (await eventsOf(job, id)).map(({ type }) => type);
}

/** The job's end, which must be a failure with this code. */
export async function failsWith<S extends Schema, R>(job: Job<S, R>, id: string, code: string): Promise<string> {
  const outcome = await job.join({ id });
  assert.strictEqual(outcome.status, "failed", JSON.stringify(outcome));
  assert.strictEqual(outcome.error?.code, code, JSON.stringify(outcome));
  return outcome.error!.message;
}
