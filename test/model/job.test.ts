// oxlint-disable vitest/no-standalone-expect -- the history checks itself at every step
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Body, JobConfig, JobEvent, JobRecord, JobRun } from "../../src/protocol/commands.js";
import { EngineDriver, START, type Seen } from "./engine-driver.js";
import { HANDLES, type JobStep, config, itemOf, jobConfig, jobNamed, jobStep, ownerOf } from "./job-history.js";
import { JobModel } from "./job-model.js";

const WAIT = 20_000;
const JOB = "j";

/** A history under way on the engine and on the model. */
class Pair {
  readonly driver = new EngineDriver();
  readonly model: JobModel;
  /** Ids of runs and jobs, for steps that name one. */
  readonly runs: { runId: string; jobId: string }[] = [];
  readonly jobs: string[] = [];
  #ids = 0;

  constructor(settings: Partial<JobConfig>) {
    this.driver.open(jobNamed(JOB, settings));
    this.model = new JobModel({ ...jobConfig, ...settings }, START);
  }

  /** Does it on both; throws where they differ. */
  perform(step: JobStep): void {
    const { model } = this;
    const both = this.#do(step);
    if (both) expect(both[0]).toEqual({ value: both[1] });
    model.serve();
    this.#compare();
  }

  #do(step: JobStep): [Seen, unknown] | undefined {
    const { driver, model } = this;
    switch (step.do) {
      case "submit": {
        const items = step.items.map((spec) => itemOf(this.#id("job"), spec));
        const replies = items.flatMap((item) => model.submit([item]));
        items.forEach(({ jobId }, i) => replies[i] === null && this.jobs.push(jobId));
        const reply = driver.ask(JOB, "job.submitMany", { items });
        return [reply, replies.every((one) => one === null) ? null : replies];
      }
      case "claim": {
        // A handle has one claim at a time.
        if (model.claims.some(({ handle }) => handle === step.handle)) return undefined;
        const runId = this.#id("run");
        const waitMs = step.wait ? WAIT : 0;
        const owner = ownerOf(step.handle);
        model.claim(step.handle, owner, runId, step.max, waitMs);
        const body = { runId, handleId: step.handle, max: step.max, waitMs };
        driver.run(JOB, "job.claim", body, { owner, waitMs });
        return undefined;
      }
      case "join":
      case "watch": {
        const name = this.#id("call");
        if (step.do === "join") {
          const jobId = this.#job(step.which);
          model.join(name, jobId, WAIT);
          this.#named(name, "job.join", { jobId, waitMs: WAIT });
        } else {
          const { runId, jobId } = this.#run(step.which);
          model.watch(name, runId, jobId, WAIT);
          this.#named(name, "job.watch", { runId, jobId, waitMs: WAIT });
        }
        return undefined;
      }
      case "advance":
        driver.advance(step.ms);
        model.advance(step.ms);
        return undefined;
      case "gone":
        // As a host does: first its calls.
        for (const call of this.#parked()) if (call.owner === step.owner) driver.space.cancel(call, driver.now, false);
        model.claims = model.claims.filter(({ owner }) => owner !== step.owner);
        driver.space.release({ owner: step.owner, died: step.died }, driver.now);
        model.ownerGone(step.owner, step.died);
        return undefined;
      default:
        return this.#ask(step);
    }
  }

  /** Commands that are answered at once. */
  #ask(step: JobStep): [Seen, unknown] | undefined {
    const { driver, model } = this;
    switch (step.do) {
      case "complete": {
        const { runId } = this.#run(step.which);
        const outcome = { result: `"${runId}"` };
        return [driver.ask(JOB, "job.finish", { runId, outcome }), model.finish(runId, outcome)];
      }
      case "fail": {
        const { runId } = this.#run(step.which);
        const outcome = { error: { message: "no", code: "E" }, retry: step.retry };
        return [driver.ask(JOB, "job.finish", { runId, outcome }), model.finish(runId, outcome)];
      }
      case "heartbeat":
      case "extend": {
        const { runId } = this.#run(step.which);
        const leaseMs = step.do === "extend" ? step.leaseMs : undefined;
        const body = { runId, ...(leaseMs === undefined ? {} : { leaseMs }) };
        return [driver.ask(JOB, "job.heartbeat", body), model.heartbeat(runId, leaseMs)];
      }
      case "progress": {
        const { runId } = this.#run(step.which);
        const value = this.#id("p");
        return [driver.ask(JOB, "job.progress", { runId, value }), model.progress(runId, value)];
      }
      case "step": {
        const { runId } = this.#run(step.which);
        const body = { runId, index: step.index, stepId: `s${step.index}`, value: this.#id("v") };
        return [driver.ask(JOB, "job.step", body), model.step(runId, body.index, body.stepId, body.value)];
      }
      case "sleep": {
        const { runId } = this.#run(step.which);
        const body = { runId, index: step.index + 4, stepId: `z${step.index}`, ms: step.ms };
        return [driver.ask(JOB, "job.sleep", body), model.sleep(runId, body.index, body.stepId, body.ms)];
      }
      case "release": {
        const runIds = [this.#run(step.which).runId, this.#run(step.which + 1).runId];
        model.release(runIds);
        return [driver.ask(JOB, "job.release", { runIds }), null];
      }
      case "cancel": {
        const jobId = this.#job(step.which);
        const reason = step.reason ? { reason: "enough" } : {};
        return [driver.ask(JOB, "job.cancel", { jobId, ...reason }), model.cancel(jobId, reason.reason)];
      }
      case "retryFailed": {
        const jobIds = step.which?.map((i) => this.#job(i));
        return [driver.ask(JOB, "job.retryFailed", jobIds ? { jobIds } : {}), model.retryFailed(jobIds)];
      }
      case "pause":
      case "resume":
        model.paused = step.do === "pause";
        return [driver.ask(JOB, `job.${step.do}`, {}), null];
      case "register": {
        const owner = ownerOf(step.handle);
        model.register(step.handle, owner, step.worker);
        return [driver.ask(JOB, "job.register", { handleId: step.handle, worker: step.worker }, owner), null];
      }
      case "unregister":
        model.unregister(step.handle);
        return [driver.ask(JOB, "job.unregister", { handleId: step.handle }, ownerOf(step.handle)), null];
      default:
        return undefined;
    }
  }

  #compare(): void {
    const { driver, model } = this;
    const answered = new Map<string, unknown>();
    for (const { call, seen } of driver.takeSettled()) {
      const name = nameOf(call.op, call.body, this.#names.get(call));
      if (name !== undefined) answered.set(name, comparable(call.op, seen));
    }
    expect(answered).toEqual(model.answered);
    model.answered.clear();
    for (const runs of answered.values()) {
      for (const { runId, jobId } of Array.isArray(runs) ? (runs as JobRun[]) : []) this.runs.push({ runId, jobId });
    }
    expect(driver.ask(JOB, "job.stats", {})).toMatchObject({ value: model.stats() });
    const { entries } = value(driver.ask(JOB, "job.list", { limit: 1000 })) as { entries: JobRecord[] };
    expect(entries.map(seenOf)).toEqual(model.records());
    driver.takeSettled();
  }

  /** What was told of every job. */
  compareLogs(): void {
    const { driver, model } = this;
    if (!model.retainsAll) return;
    const log = [...new Set(model.events.map(({ jobId }) => jobId))].flatMap((jobId) => {
      const { events } = value(driver.ask(JOB, "job.read", { jobId, after: 0, limit: 10_000 })) as {
        events: JobEvent[];
      };
      return events;
    });
    expect(log.sort((a, b) => a.n - b.n).map(plain)).toEqual(model.events.map(plain));
  }

  readonly #names = new WeakMap<object, string>();

  #named<Op extends "job.join" | "job.watch">(name: string, op: Op, body: Body<Op>): void {
    // Settled or parked, the call is known by its body.
    this.#names.set(body, name);
    const call = this.driver.run(JOB, op, body, { owner: "looker", waitMs: WAIT });
    this.#names.set(call, name);
  }

  #parked() {
    return [...this.driver.space.instances()].flatMap(({ lanes }) => [...lanes.values()].flatMap((lane) => [...lane]));
  }

  #run(index: number): { runId: string; jobId: string } {
    return this.runs.at(-1 - index) ?? { runId: "none", jobId: "none" };
  }

  #job(index: number): string {
    return this.jobs.at(-1 - index) ?? "none";
  }

  #id(what: string): string {
    return `${what}${String(++this.#ids).padStart(4, "0")}`;
  }
}

function nameOf(op: string, body: unknown, named: string | undefined): string | undefined {
  return op === "job.claim" ? (body as { runId: string }).runId : named;
}

function value(seen: Seen): unknown {
  return (seen as { value: unknown }).value;
}

/** Without what the model does not have: texts of errors, the time of an outcome. */
function comparable(op: string, seen: Seen): unknown {
  const found = value(seen);
  if (op === "job.watch") return found && { code: (found as { code: string }).code };
  if (op !== "job.join" || found === null) return found;
  const { status, result, error } = found as {
    status: string;
    result?: string;
    error?: { message: string; code: string };
  };
  const cause = error && (error.code === "UNKNOWN_JOB" ? { code: error.code } : { ...error, message: said(error) });
  return { status, ...(result === undefined ? {} : { result }), ...(cause ? { error: cause } : {}) };
}

function said({ message, code }: { message: string; code?: string }): string {
  return code === "TIMEOUT" ? "" : message;
}

function plain(event: JobEvent): unknown {
  return "error" in event ? { ...event, error: { ...event.error, message: said(event.error) } } : event;
}

function seenOf(record: JobRecord): unknown {
  const { jobId, status, failures, crashes, steps, progress, error, dueAt, by, leaseUntil, result, finishedAt } =
    record;
  return {
    jobId,
    status,
    failures,
    crashes,
    steps,
    progress,
    error: error?.code,
    dueAt,
    by,
    leaseUntil,
    result,
    finishedAt,
  };
}

function compare(settings: Partial<JobConfig>, steps: readonly JobStep[]): void {
  const pair = new Pair(settings);
  for (const step of steps) pair.perform(step);
  pair.compareLogs();
}

test("a job does what the model does", () => {
  fc.assert(fc.property(config, fc.array(jobStep, { maxLength: 80, size: "max" }), compare), {
    numRuns: 500,
    seed: 11,
  });
}, 120_000);

test("every job ends when handlers are there", () => {
  fc.assert(
    fc.property(config, fc.array(jobStep, { maxLength: 60, size: "max" }), (settings, steps) => {
      const pair = new Pair(settings);
      for (const step of steps) pair.perform(step);
      pair.perform({ do: "resume" });
      for (let i = 0; i < 400 && pair.model.entries.some(({ finishedAt }) => finishedAt === 0); i++) {
        for (const handle of HANDLES) pair.perform({ do: "claim", handle, max: 3, wait: false });
        for (let which = 0; which < 12; which++) pair.perform({ do: "complete", which });
        pair.perform({ do: "advance", ms: 3000 });
      }
      const { value: stats } = pair.driver.ask(JOB, "job.stats", {}) as { value: Record<string, number> };
      expect(stats).toMatchObject({ submitted: 0, delayed: 0, running: 0, parked: 0, retry: 0 });
    }),
    { numRuns: 100, seed: 12 },
  );
}, 120_000);
