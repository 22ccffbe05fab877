// oxlint-disable vitest/no-standalone-expect -- the history checks itself at every commit
/**
 * What survives of jobs: a state equals what its committed rows restore, after any mixture of commits, undone turns
 * and deaths of the hub; and a call that is sent again changes nothing more.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Call } from "../../src/engine/call.js";
import type { Body, CommandName, JobConfig, JobRecord, JobRun } from "../../src/protocol/commands.js";
import type { Json } from "../../src/protocol/json.js";
import { EngineDriver, type Seen } from "./engine-driver.js";
import { HANDLES, type JobStep, SECOND, config, itemOf, jobNamed, jobStep, ownerOf } from "./job-history.js";
import { restored } from "./restored.js";

const JOB = "j";
const WAIT = 20_000;
const PROBE = "probe";

type Step = JobStep | { do: "journal"; outcome: "committed" | "undone" | "hub died" } | { do: "again" };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: jobStep as fc.Arbitrary<Step> },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("journal" as const),
      outcome: fc.constantFrom("committed" as const, "committed" as const, "undone" as const, "hub died" as const),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ do: "again" as const }) },
);

/** A hub in short: a space, the rows that are on disk, and nothing else. */
class Hub {
  driver = new EngineDriver();
  readonly rows = new Map<string, Json>();
  readonly #settings: Partial<JobConfig>;
  readonly #runs: { runId: string; jobId: string }[] = [];
  readonly #jobs: string[] = [];
  /** The last call that may be sent again, with its answer; undefined when something came in between. */
  #last: { op: CommandName; body: Body<CommandName>; owner: string; seen: Seen } | undefined;
  #ids = 0;

  constructor(settings: Partial<JobConfig>) {
    this.#settings = settings;
    this.#open();
  }

  perform(given: Step): void {
    if (given.do === "again") return this.#sendAgain();
    this.#last = undefined;
    if (given.do === "journal") this.#journal(given.outcome);
    else this.#do(given);
    for (const { call, seen } of this.driver.takeSettled()) {
      if (call.op !== "job.claim" || seen === "parked" || "error" in seen) continue;
      for (const { runId, jobId } of seen.value as JobRun[]) this.#runs.push({ runId, jobId });
    }
  }

  #do(given: JobStep): void {
    const { driver } = this;
    switch (given.do) {
      case "submit": {
        const items = given.items.map((spec) => itemOf(this.#id("job"), spec));
        this.#jobs.push(...items.map(({ jobId }) => jobId));
        return this.#ask("job.submitMany", { items });
      }
      case "claim": {
        // A handle has one claim at a time.
        if (parkedAt(driver).some(({ parkedIn }) => parkedIn === given.handle)) return;
        const waitMs = given.wait ? WAIT : 0;
        const body = { runId: this.#id("run"), handleId: given.handle, max: given.max, waitMs };
        const owner = ownerOf(given.handle);
        const call = driver.run(JOB, "job.claim", body, { owner, waitMs });
        const found = driver.space.settled.find((settled) => settled.call === call);
        if (found?.outcome.ok) this.#last = { op: "job.claim", body, owner, seen: { value: found.outcome.value } };
        return;
      }
      case "join":
        driver.run(JOB, "job.join", { jobId: this.#job(given.which), waitMs: WAIT }, { owner: "tab c", waitMs: WAIT });
        return;
      case "watch": {
        const { runId, jobId } = this.#run(given.which);
        driver.run(JOB, "job.watch", { runId, jobId, waitMs: WAIT }, { owner: "tab c", waitMs: WAIT });
        return;
      }
      case "gone":
        for (const call of parkedAt(driver))
          if (call.owner === given.owner) driver.space.cancel(call, driver.now, false);
        driver.space.release({ owner: given.owner, died: given.died }, driver.now);
        return;
      case "advance":
        driver.advance(given.ms);
        return;
      case "cancel":
        return this.#ask("job.cancel", {
          jobId: this.#job(given.which),
          ...(given.reason ? { reason: "enough" } : {}),
        });
      case "retryFailed":
        return this.#ask("job.retryFailed", given.which ? { jobIds: given.which.map((i) => this.#job(i)) } : {});
      case "pause":
      case "resume":
        return this.#ask(`job.${given.do}`, {});
      case "register":
        return this.#ask("job.register", { handleId: given.handle, worker: given.worker }, ownerOf(given.handle));
      case "unregister":
        return this.#ask("job.unregister", { handleId: given.handle }, ownerOf(given.handle));
      default:
        return this.#tell(given);
    }
  }

  /** What a run says. */
  #tell(given: Extract<JobStep, { which: number }>): void {
    const { runId } = this.#run(given.which);
    switch (given.do) {
      case "complete":
        return this.#ask("job.finish", { runId, outcome: { result: `"${runId}"` } }, undefined, true);
      case "fail":
        return this.#ask(
          "job.finish",
          { runId, outcome: { error: { message: "no" }, retry: given.retry } },
          undefined,
          true,
        );
      case "heartbeat":
        return this.#ask("job.heartbeat", { runId });
      case "extend":
        return this.#ask("job.heartbeat", { runId, leaseMs: given.leaseMs });
      case "progress":
        return this.#ask("job.progress", { runId, value: this.#id("p") });
      case "step": {
        const body = { runId, index: given.index, stepId: `s${given.index}`, value: this.#id("v") };
        return this.#ask("job.step", body, undefined, true);
      }
      case "sleep": {
        const body = { runId, index: given.index + 4, stepId: `z${given.index}`, ms: given.ms };
        return this.#ask("job.sleep", body, undefined, true);
      }
      case "release":
        return this.#ask("job.release", { runIds: [runId] }, undefined, true);
      default:
        return undefined;
    }
  }

  #ask<Op extends CommandName>(op: Op, body: Body<Op>, owner = "tab a", mayComeAgain = false): void {
    const seen = this.driver.ask(JOB, op, body, owner);
    if (mayComeAgain) this.#last = { op, body, owner, seen };
  }

  /** As after a hub's death: the answer was lost, the effect was not. */
  #sendAgain(): void {
    if (this.#last === undefined) return;
    const { op, body, owner, seen } = this.#last;
    const before = look(this.driver);
    const again = this.driver.ask(JOB, op, body, owner);
    // A finish is refused, for its run is over; everything else is as it was.
    if (op !== "job.finish") expect(again).toEqual(seen);
    expect(look(this.driver)).toEqual(before);
  }

  #journal(outcome: "committed" | "undone" | "hub died"): void {
    const { driver, rows } = this;
    const { space } = driver;
    if (outcome === "hub died") {
      driver.space = restored(rows);
      for (const handleId of HANDLES) this.#ask("job.register", { handleId, worker: true }, ownerOf(handleId));
      return;
    }
    const turn = space.take();
    if (outcome === "committed") {
      for (const { key, value, fresh } of turn.writes().values()) {
        expect(fresh, `${key} is fresh exactly when it is not on disk`).toBe(!rows.has(key));
        if (value === undefined) rows.delete(key);
        else rows.set(key, JSON.parse(JSON.stringify(value)) as Json);
      }
      space.committed = turn.id;
      const parked = unpark(driver);
      this.#expectWhatIsStored();
      for (const call of parked) {
        space.run(call, driver.now);
        expect(call.parkedIn, `nothing was ready for ${call.op}`).toBeDefined();
      }
      return;
    }
    space.undo([turn, space.take()]);
    const parked = unpark(driver);
    this.#expectWhatIsStored();
    // As a host does: what was undone runs again.
    for (const released of turn.released) space.release(released, driver.now);
    for (const { call } of turn.ran) this.#runAgain(call);
    for (const call of parked) this.#runAgain(call);
  }

  #runAgain(call: Call): void {
    const { space, now } = this.driver;
    if (!call.instance.gone) space.run(call, now);
    else space.run({ ...call, instance: this.driver.run(JOB, "job.stats", {}).instance }, now);
  }

  /** This state and what its rows restore cannot be told apart. */
  #expectWhatIsStored(): void {
    expect([...this.rows.keys()].filter((key) => isOrphan(key, this.rows))).toEqual([]);
    const other = new EngineDriver();
    other.space = restored(this.rows);
    other.now = this.driver.now;
    if ([...other.space.instances()].length === 0) return;
    other.open(jobNamed(JOB, this.#settings));
    expect(probe(this.driver)).toEqual(probe(other));
  }

  #open(): void {
    this.driver.open(jobNamed(JOB, this.#settings));
  }

  #run(index: number): { runId: string; jobId: string } {
    return this.#runs.at(-1 - index) ?? { runId: "none", jobId: "none" };
  }

  #job(index: number): string {
    return this.#jobs.at(-1 - index) ?? "none";
  }

  #id(what: string): string {
    return `${what}${String(++this.#ids).padStart(4, "0")}`;
  }
}

/** Rows of a job that is not there. */
function isOrphan(key: string, rows: Map<string, Json>): boolean {
  const [, instance, letter, rest] = /^(\d+)([a-z])(.*)$/s.exec(key)!;
  return "pso".includes(letter!) && !rows.has(`${instance}j${rest!.split("/")[0]}`);
}

/** What can be learned without changing anything, handles and waiting calls left out. */
function look(driver: EngineDriver): unknown {
  // What is due comes to pass, however many calls it takes.
  driver.advance(0);
  const { value: stats } = driver.ask(JOB, "job.stats", {}) as { value: object };
  const { value: list } = driver.ask(JOB, "job.list", { limit: 1000 }) as { value: { entries: JobRecord[] } };
  const log = list.entries.map(({ jobId }) => driver.ask(JOB, "job.read", { jobId, after: 0, limit: 1000 }));
  const anchors = ["0", "$", "GEN.3"].map((after) => driver.ask(JOB, "job.anchor", { after }));
  return { stats: { ...stats, handlers: 0, workers: 0, waiters: 0 }, list, log, anchors };
}

/** Everything that can be learned: also what would be handed out, and which keys are known. Undone again. */
function probe(driver: EngineDriver): unknown {
  const seen = look(driver);
  const keys = [0, 1, 2].map((key) =>
    driver.ask(JOB, "job.submit", { jobId: `probe ${key}`, input: "", bytes: 1, key: `k${key}`, keyTtlMs: SECOND }),
  );
  driver.space.undo([driver.space.take()]);
  driver.advance(0);
  driver.ask(JOB, "job.resume", {});
  const claimed: Seen[] = [];
  for (let i = 0; i < 60; i++) {
    claimed.push(driver.ask(JOB, "job.claim", { runId: `probe ${i}`, handleId: PROBE, max: 1, waitMs: 0 }, PROBE));
    // Makes room for the next.
    driver.ask(JOB, "job.finish", { runId: `probe ${i}`, outcome: { result: "" } }, PROBE);
  }
  const left = look(driver);
  driver.space.undo([driver.space.take()]);
  // Nothing that is written knows of the handle.
  driver.ask(JOB, "job.unregister", { handleId: PROBE });
  return { seen, keys, claimed, left };
}

function parkedAt({ space }: EngineDriver): Call[] {
  return [...space.instances()].flatMap(({ lanes }) => [...lanes.values()].flatMap((lane) => [...lane]));
}

/** Takes the waiting calls out: a probe shows them what they would be given. */
function unpark(driver: EngineDriver): Call[] {
  const parked = parkedAt(driver);
  for (const call of parked) driver.space.cancel(call, driver.now, false);
  return parked;
}

function holds(settings: Partial<JobConfig>, steps: readonly Step[]): void {
  const hub = new Hub(settings);
  for (const each of steps) hub.perform(each);
  hub.perform({ do: "journal", outcome: "committed" });
  hub.perform({ do: "journal", outcome: "hub died" });
  hub.perform({ do: "journal", outcome: "committed" });
}

describe("jobs and commits", () => {
  test("a state is what its committed rows restore, and calls sent again change nothing", () => {
    fc.assert(fc.property(config, fc.array(step, { maxLength: 80, size: "max" }), holds), { numRuns: 200, seed: 21 });
  }, 120_000);
});
