// oxlint-disable vitest/no-standalone-expect -- the history checks itself at every step
/**
 * What survives: a scheduler is what its committed rows restore, and a slot's run and the advance past it are never
 * apart, after any mixture of commits, undone turns, and deaths of tabs and hubs.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Body, Misfire, ScheduleInfo } from "../../src/protocol/commands.js";
import type { Json } from "../../src/protocol/json.js";
import { nextByHand } from "../cron/by-hand.js";
import { EngineDriver } from "./engine-driver.js";
import { restored } from "./restored.js";
import { jobNamed, jobsOf, schedulerNamed } from "./scheduler-parts.js";

const SECOND = 1000;
const MINUTE = 60 * SECOND;

const SCHEDULES = ["a", "0b", "c/1"];
const CRONS = ["* * * * *", "*/5 * * * *", "30 * * * *"];
const JOBS = ["j", "k"];
/** Each of a tab of its own. */
const HANDLES = ["h1", "h2"];

type Step =
  | {
      do: "register";
      handle: number;
      schedule: number;
      cron: number;
      job: number;
      misfire: Misfire;
      overlap: "allow" | "skip";
    }
  | { do: "unregister" | "pause" | "resume" | "trigger"; schedule: number }
  | { do: "start" | "stop"; handle: number }
  | { do: "gone"; handle: number; died: boolean }
  | { do: "reconfigure"; graceMs: number }
  | { do: "advance"; ms: number }
  | { do: "journal"; outcome: "committed" | "undone" | "hub died" };

const handle = fc.nat(1);
const schedule = fc.nat(2);
const of = <Do extends string>(...names: Do[]): fc.Arbitrary<Do> => fc.constantFrom(...names);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: of("register"),
      handle,
      schedule,
      cron: fc.nat(2),
      job: fc.nat(1),
      misfire: of("skip", "catch_up_one", "catch_up_all"),
      overlap: of("allow", "allow", "skip"),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: of("unregister", "pause", "resume", "resume", "trigger"), schedule }) },
  { weight: 5, arbitrary: fc.record({ do: of("start", "start", "start", "stop"), handle }) },
  { weight: 1, arbitrary: fc.record({ do: of("gone"), handle, died: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: of("reconfigure"), graceMs: fc.constantFrom(30 * SECOND, 2 * MINUTE) }) },
  {
    weight: 8,
    arbitrary: fc.record({ do: of("advance"), ms: fc.constantFrom(SECOND, 31 * SECOND, MINUTE, 6 * MINUTE) }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ do: of("journal"), outcome: of("committed", "committed", "undone", "hub died") }),
  },
);

/** A hub in short: a space, the rows that are on disk, and the handles of living tabs. */
class Hub {
  readonly driver = new EngineDriver();
  readonly rows = new Map<string, Json>();
  readonly #jobs = JOBS.map(jobNamed);
  /** What each handle would tell a new hub. */
  readonly #handles = new Map<string, { owner: string; started: boolean }>();
  /** Jobs and tabs that handle them. */
  readonly #workers = new Set<string>();
  /** Tabs that are gone: those that come back have another name. */
  readonly #gone = new Set<string>();
  #ids = 0;

  constructor() {
    this.driver.open(schedulerNamed("s", {}));
    for (const one of this.#jobs) this.driver.open(one);
  }

  perform(given: Step): void {
    const { driver } = this;
    switch (given.do) {
      case "register": {
        const { owner } = this.#handle(given.handle);
        const job = this.#jobs[given.job]!;
        const body: Body<"scheduler.register"> = {
          scheduleId: SCHEDULES[given.schedule]!,
          cron: CRONS[given.cron]!,
          tz: "UTC",
          misfire: given.misfire,
          maxCatchUpRuns: 2,
          overlap: given.overlap,
          job,
          item: { input: "{}", bytes: 2 },
        };
        // As a handle does it: the job is known to have a handler first.
        this.#workers.add(`${job.name.id} ${owner}`);
        driver.run(job.name.id, "job.register", { handleId: owner, worker: false }, { owner });
        driver.run("s", "scheduler.register", body, { owner });
        break;
      }
      case "trigger":
        driver.run("s", "scheduler.trigger", { scheduleId: SCHEDULES[given.schedule]!, runId: `m${++this.#ids}` });
        break;
      case "unregister":
      case "pause":
      case "resume":
        driver.run("s", `scheduler.${given.do}`, { scheduleId: SCHEDULES[given.schedule]! });
        break;
      case "start":
      case "stop":
        this.#handle(given.handle).started = given.do === "start";
        this.#tell(HANDLES[given.handle]!, given.do);
        break;
      case "gone": {
        const { owner } = this.#handle(given.handle);
        this.#handles.delete(HANDLES[given.handle]!);
        this.#gone.add(owner);
        driver.space.release({ owner, died: given.died }, driver.now);
        break;
      }
      case "reconfigure":
        driver.open(schedulerNamed("s", { graceMs: given.graceMs }));
        driver.run("s", "scheduler.stats", {});
        break;
      case "advance":
        driver.advance(given.ms);
        break;
      case "journal":
        this.#journal(given.outcome);
    }
    driver.advance(0);
    this.#check();
  }

  list(driver = this.driver): ScheduleInfo[] {
    return (driver.ask("s", "scheduler.list", {}) as { value: ScheduleInfo[] }).value;
  }

  slotsOf(scheduleId: string): number[] {
    return JOBS.flatMap((name) => jobsOf(this.driver, name))
      .filter(({ run }) => run.scheduleId === scheduleId)
      .flatMap(({ run }) => run.scheduleSlotTs ?? []);
  }

  #journal(outcome: "committed" | "undone" | "hub died"): void {
    const { driver, rows } = this;
    if (outcome === "hub died") {
      driver.space = restored(rows);
      const before = this.#epoch();
      for (const worker of this.#workers) {
        const [job, owner] = worker.split(" ") as [string, string];
        if (!this.#gone.has(owner)) driver.run(job, "job.register", { handleId: owner, worker: false }, { owner });
      }
      for (const [id, { started }] of this.#handles) if (started) this.#tell(id, "start");
      const leads = [...this.#handles.values()].some(({ started }) => started);
      expect(this.#epoch()).toBe(leads ? before + 1 : before);
      return;
    }
    const { space } = driver;
    const turn = space.take();
    if (outcome === "committed") {
      for (const { key, value, fresh } of turn.writes().values()) {
        expect(fresh, `${key} is fresh exactly when it is not on disk`).toBe(!rows.has(key));
        if (value === undefined) rows.delete(key);
        else rows.set(key, JSON.parse(JSON.stringify(value)) as Json);
      }
      space.committed = turn.id;
    } else {
      space.undo([turn, space.take()]);
    }
    this.#expectRestored();
    if (outcome === "committed") return;
    for (const released of turn.released) space.release(released, driver.now);
    for (const { call } of turn.ran) {
      if (this.#gone.has(call.owner)) continue;
      const instance = call.instance.gone
        ? driver.run(call.instance.name.id, "scheduler.stats", {}).instance
        : call.instance;
      space.run({ ...call, instance }, driver.now);
    }
  }

  /** Nobody who reads can tell this hub from one that knows only the rows. */
  #expectRestored(): void {
    const other = new EngineDriver();
    other.space = restored(this.rows);
    const { now } = this.driver;
    // Long before anything is due: who reads must not set it off.
    other.now = this.driver.now = 0;
    const read = (driver: EngineDriver) =>
      [...driver.space.instances()]
        .map((instance) => {
          const { name, config, durability, seed } = instance;
          const about = { name, config: { ...config }, durability, seed };
          driver.open(about);
          if (name.kind === "job") return { ...about, jobs: jobsOf(driver, name.id) };
          const leaderEpoch = this.#epoch(driver);
          return {
            ...about,
            leaderEpoch,
            list: this.list(driver),
            dead: driver.ask("s", "scheduler.listDead", { limit: 100 }),
          };
        })
        .sort((a, b) => (a.name.id < b.name.id ? -1 : 1));
    expect(read(this.driver)).toEqual(read(other));
    this.driver.now = now;
  }

  #epoch(driver = this.driver): number {
    return (driver.ask("s", "scheduler.metrics", { handleId: "" }) as { value: { leaderEpoch: number } }).value
      .leaderEpoch;
  }

  #check(): void {
    const { driver } = this;
    const { value: stats } = driver.ask("s", "scheduler.stats", {}) as { value: { started: number } };
    expect(stats.started).toBe([...this.#handles.values()].filter(({ started }) => started).length);
    for (const { id, nextRunAt, lastRunAt, cron } of this.list()) {
      const slots = this.slotsOf(id);
      expect(new Set(slots).size, "each slot ran once").toBe(slots.length);
      expect(nextRunAt).toBe(nextByHand(cron, nextRunAt - 1));
      const before = lastRunAt ?? 0;
      expect(before).toBeLessThan(nextRunAt);
      // Schedules of the same name that were removed may have run earlier.
      expect(lastRunAt === null || slots.includes(lastRunAt)).toBe(true);
      expect(slots.filter((slot) => slot >= nextRunAt)).toEqual([]);
    }
  }

  #handle(index: number) {
    const id = HANDLES[index]!;
    const owner = `${id}-${this.#gone.size}`;
    const known = this.#handles.get(id) ?? { owner, started: false };
    this.#handles.set(id, known);
    return known;
  }

  #tell(handleId: string, what: "start" | "stop"): void {
    const { owner } = this.#handles.get(handleId)!;
    this.driver.run("s", `scheduler.${what}`, { handleId }, { owner });
  }
}

function holds(steps: readonly Step[]): void {
  const hub = new Hub();
  for (const each of steps) hub.perform(each);
  hub.perform({ do: "journal", outcome: "committed" });
  hub.perform({ do: "journal", outcome: "hub died" });
  // From here on nothing is missing, so nothing may be left out.
  for (const index of SCHEDULES.keys()) {
    hub.perform({ do: "register", handle: 0, schedule: index, cron: index, job: 0, misfire: "skip", overlap: "allow" });
    hub.perform({ do: "resume", schedule: index });
  }
  hub.perform({ do: "start", handle: 0 });
  const from = hub.driver.now;
  hub.perform({ do: "advance", ms: 61 * MINUTE });
  for (const [index, id] of SCHEDULES.entries()) {
    const expected: number[] = [];
    for (let slot = from; (slot = nextByHand(CRONS[index]!, slot)) <= hub.driver.now;) expected.push(slot);
    expect(
      hub
        .slotsOf(id)
        .filter((slot) => slot > from)
        .sort((a, b) => a - b),
    ).toEqual(expected);
  }
}

test("a scheduler is what its committed rows restore, and each slot runs once", () => {
  fc.assert(fc.property(fc.array(step, { maxLength: 60, size: "max" }), holds), { numRuns: 120, seed: 5 });
}, 120_000);
