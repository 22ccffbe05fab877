// oxlint-disable vitest/no-standalone-expect -- the history checks itself at every step
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import type * as jobModule from "../../src/engine/job.js";
import type { Body, Misfire, SchedulerConfig } from "../../src/protocol/commands.js";
import { EngineDriver, START } from "./engine-driver.js";
import { refusedInputs } from "./refusing-job.js";
import { SchedulerModel } from "./scheduler-model.js";
import { jobNamed, jobsOf, schedulerConfig, schedulerNamed } from "./scheduler-parts.js";

vi.mock("../../src/engine/job.js", async (original) => {
  const { job } = await original<typeof jobModule>();
  const { refusing } = await import("./refusing-job.js");
  return { job: refusing(job) };
});

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

const SCHEDULES = ["a", "b", "c"];
const CRONS = ["* * * * *", "*/5 * * * *", "17 * * * *", "0 3 * * *", "*/20 9-17 * * 1-5"];
const JOBS = ["j", "k"];
/** Handles, and the tabs that they are of. */
const HANDLES = [
  ["h1", "tab a"],
  ["h2", "tab a"],
  ["h3", "tab b"],
] as const;

type Command =
  | {
      do: "register";
      tab: number;
      schedule: number;
      cron: number;
      job: number;
      misfire: Misfire;
      max: number;
      overlap: "allow" | "skip";
    }
  | { do: "unregister" | "pause" | "resume" | "trigger"; schedule: number }
  | { do: "start" | "stop"; handle: number }
  | { do: "work" | "leave"; job: number; tab: number }
  | { do: "fill" | "empty"; job: number }
  | { do: "finish"; which: number }
  | { do: "gone"; tab: number }
  | { do: "advance" | "jump"; ms: number };

const handle = fc.nat(2);
const schedule = fc.nat(2);
const job = fc.nat(1);
const tab = fc.nat(1);
const of = <Do extends string>(...names: Do[]): fc.Arbitrary<Do> => fc.constantFrom(...names);

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: of("register"),
      tab,
      schedule,
      cron: fc.nat(CRONS.length - 1),
      job,
      misfire: of("skip", "catch_up_one", "catch_up_all"),
      max: fc.constantFrom(1, 3, 100),
      overlap: of("allow", "allow", "skip"),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: of("unregister", "pause", "resume", "resume", "trigger", "trigger"), schedule }),
  },
  { weight: 5, arbitrary: fc.record({ do: of("start", "start", "start", "stop"), handle }) },
  { weight: 3, arbitrary: fc.record({ do: of("work", "leave"), job, tab }) },
  { weight: 2, arbitrary: fc.record({ do: of("fill", "empty", "empty"), job }) },
  { weight: 2, arbitrary: fc.record({ do: of("finish"), which: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ do: of("gone"), tab }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: of("advance"),
      ms: fc.constantFrom(1, 250, SECOND, 31 * SECOND, MINUTE, 7 * MINUTE, HOUR),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: of("jump"),
      ms: fc.constantFrom(20 * SECOND, 5 * MINUTE, 3 * HOUR, 26 * HOUR, -MINUTE, -2 * HOUR),
    }),
  },
);

/** A history under way on the engine and on the model. */
class History {
  readonly driver = new EngineDriver();
  readonly model: SchedulerModel;
  readonly jobs = JOBS.map(jobNamed);
  #ids = 0;

  constructor(config: Partial<SchedulerConfig>) {
    refusedInputs.clear();
    this.driver.open(schedulerNamed("s", config));
    for (const one of this.jobs) this.driver.open(one);
    this.model = new SchedulerModel({ ...schedulerConfig, ...config }, START);
  }

  perform(given: Command): void {
    const [reply, expected] = this.#pair(given);
    expect(reply).toEqual(expected);
    // The host's alarm rings as soon as something is due.
    this.driver.advance(0);
    this.model.advance(0);
    this.driver.takeSettled();
    this.#compare();
  }

  #pair(given: Command): [unknown, unknown] {
    const { driver, model } = this;
    switch (given.do) {
      case "register":
        return this.#register(given);
      case "unregister": {
        const scheduleId = SCHEDULES[given.schedule]!;
        return [driver.ask("s", "scheduler.unregister", { scheduleId }), { value: model.unregister(scheduleId) }];
      }
      case "pause":
      case "resume": {
        const scheduleId = SCHEDULES[given.schedule]!;
        const paused = given.do === "pause";
        return [driver.ask("s", `scheduler.${given.do}`, { scheduleId }), { value: model.pause(scheduleId, paused) }];
      }
      case "trigger": {
        const scheduleId = SCHEDULES[given.schedule]!;
        const runId = `m${++this.#ids}`;
        return this.#trigger({ scheduleId, runId });
      }
      case "start":
      case "stop": {
        const [handleId, owner] = HANDLES[given.handle]!;
        if (given.do === "start") model.started.set(handleId, owner);
        else model.started.delete(handleId);
        return [driver.ask("s", `scheduler.${given.do}`, { handleId }, owner), { value: null }];
      }
      case "work":
      case "leave": {
        const [name, owner] = [JOBS[given.job]!, `tab ${"ab"[given.tab]}`];
        model.workers = model.workers.filter((one) => one.job !== name || one.owner !== owner);
        if (given.do === "leave") return [driver.ask(name, "job.unregister", { handleId: owner }), { value: null }];
        model.workers.push({ job: name, owner });
        const body = { handleId: owner, worker: false };
        return [driver.ask(name, "job.register", body, owner), { value: null }];
      }
      case "fill":
      case "empty": {
        const name = JOBS[given.job]!;
        if (given.do === "fill") model.full.add(name);
        else model.full.delete(name);
        refusedInputs.clear();
        for (const full of model.full) refusedInputs.add(JSON.stringify(full));
        return [undefined, undefined];
      }
      case "finish": {
        const run = model.runs.at(-1 - given.which);
        if (!run) return [undefined, undefined];
        const wasDone = run.done;
        run.done = true;
        const entry = jobsOf(driver, run.job).find(
          (one) => one.run.scheduleId === run.schedule && nameOf(one) === run.slot,
        );
        return [driver.ask(run.job, "job.cancel", { jobId: entry!.jobId }), { value: !wasDone }];
      }
      case "gone": {
        const owner = `tab ${"ab"[given.tab]}`;
        driver.space.release({ owner, died: true }, driver.now);
        model.gone(owner);
        return [undefined, undefined];
      }
      case "advance":
        driver.advance(given.ms);
        model.advance(given.ms);
        return [undefined, undefined];
      case "jump":
        driver.now += given.ms;
        model.now += given.ms;
        return [undefined, undefined];
    }
  }

  /** As a handle does it: the job is known to have a handler first. */
  #register({ tab: t, schedule: s, cron, job: j, misfire, max, overlap }: Extract<Command, { do: "register" }>) {
    const given = { cron: CRONS[cron]!, misfire, maxCatchUpRuns: max, overlap };
    const scheduleId = SCHEDULES[s]!;
    this.perform({ do: "work", job: j, tab: t });
    const item = { input: JSON.stringify(JOBS[j]), bytes: 3 };
    const body: Body<"scheduler.register"> = { ...given, scheduleId, tz: "UTC", job: this.jobs[j]!, item };
    const reply = this.driver.ask("s", "scheduler.register", body);
    return [reply, { value: this.model.register(scheduleId, { ...given, job: JOBS[j]! }) }] as [unknown, unknown];
  }

  #trigger(body: { scheduleId: string; runId: string }): [unknown, unknown] {
    const reply = this.driver.ask("s", "scheduler.trigger", body);
    const outcome = this.model.trigger(body.scheduleId, body.runId);
    if (outcome === "submitted") return [reply, { value: null }];
    if (outcome === "failed") return [reply, { value: { failed: expect.objectContaining({ code: "CAPACITY" }) } }];
    return [reply, { value: { rejected: outcome } }];
  }

  #compare(): void {
    const { driver, model } = this;
    const byId = [...model.plans].sort((a, b) => (a.id < b.id ? -1 : 1));
    expect(driver.ask("s", "scheduler.list", {})).toMatchObject({
      value: byId.map(({ id, cron, next, last, paused, job: jobId }) => ({
        id,
        cron,
        jobId,
        nextRunAt: next,
        lastRunAt: last,
        paused,
      })),
    });
    const ran = JOBS.flatMap((name) =>
      jobsOf(driver, name).map((one) => `${name} ${one.run.scheduleId} ${nameOf(one)} ${one.status === "cancelled"}`),
    );
    expect(ran.sort()).toEqual(model.runs.map((run) => `${run.job} ${run.schedule} ${run.slot} ${run.done}`).sort());
    expect(driver.ask("s", "scheduler.listDead", { limit: 10_000 })).toMatchObject({
      value: model.dead.map(({ schedule: scheduleId, slot: slotTs }) => ({ scheduleId, slotTs })).reverse(),
    });
  }
}

function nameOf({ run, jobId }: { run: { scheduleSlotTs?: number }; jobId: string }): number | string {
  return run.scheduleSlotTs ?? jobId;
}

const config: fc.Arbitrary<Partial<SchedulerConfig>> = fc.record({
  strictHandlers: fc.boolean(),
  graceMs: fc.constantFrom(30 * SECOND, 30 * SECOND, 3 * MINUTE),
  maxSubmitsPerTick: fc.constantFrom(1, 4, 500),
});

describe("a scheduler", () => {
  test("submits what the model submits", () => {
    fc.assert(
      fc.property(config, fc.array(command, { maxLength: 50, size: "max" }), (settings, commands) => {
        const history = new History(settings);
        for (const each of commands) history.perform(each);
      }),
      { numRuns: 250, seed: 12 },
    );
  }, 120_000);
});
