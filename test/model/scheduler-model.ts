import type { Misfire, SchedulerConfig } from "../../src/protocol/commands.js";
import { nextByHand } from "../cron/by-hand.js";

export interface Registered {
  cron: string;
  job: string;
  misfire: Misfire;
  maxCatchUpRuns: number;
  overlap: "allow" | "skip";
}

interface Plan extends Registered {
  id: string;
  serial: number;
  next: number;
  last: number | null;
  paused: boolean;
  /** The slot that waits, what for, and until when it is left alone. */
  waits: { slot: number; missing: boolean; tries: number; passes: number; until: number } | undefined;
  /** The last run by time, and the last that was asked for while runs might not overlap. */
  lastRun: Run | undefined;
  lastManual: Run | undefined;
}

/** A run that was submitted. */
export interface Run {
  job: string;
  schedule: string;
  /** "manual", or the slot. */
  slot: number | string;
  done: boolean;
}

/** A scheduler as one would explain it: everything in arrays, searched from end to end. All times are UTC. */
export class SchedulerModel {
  now: number;
  plans: Plan[] = [];
  runs: Run[] = [];
  dead: { schedule: string; slot: number }[] = [];
  /** Handles that have started, and their tabs. */
  started = new Map<string, string>();
  /** Handles of jobs in some tab, by job and tab. */
  workers: { job: string; owner: string }[] = [];
  /** Jobs that refuse everything. */
  full = new Set<string>();
  #rests = 0;
  #serial = 0;
  readonly #config: SchedulerConfig;

  constructor(config: SchedulerConfig, now: number) {
    this.#config = config;
    this.now = now;
  }

  register(id: string, given: Registered) {
    const plan = this.plans.find((one) => one.id === id);
    if (plan) {
      if (plan.cron !== given.cron) plan.next = nextByHand(given.cron, this.now);
      if (plan.job !== given.job) plan.lastRun = plan.lastManual = undefined;
      Object.assign(plan, given);
      if (plan.waits?.missing) plan.waits.until = Math.min(plan.waits.until, this.now);
    } else {
      const none = { waits: undefined, lastRun: undefined, lastManual: undefined };
      const fresh = { serial: ++this.#serial, last: null, paused: false, ...none };
      this.plans.push({ ...given, ...fresh, id, next: nextByHand(given.cron, this.now) });
    }
    return { created: !plan, updated: plan !== undefined };
  }

  unregister(id: string): boolean {
    const known = this.plans.some((plan) => plan.id === id);
    this.plans = this.plans.filter((plan) => plan.id !== id);
    return known;
  }

  gone(owner: string): void {
    for (const [id, by] of this.started) if (by === owner) this.started.delete(id);
    this.workers = this.workers.filter((worker) => worker.owner !== owner);
  }

  pause(id: string, paused: boolean): boolean {
    const plan = this.plans.find((one) => one.id === id);
    if (!plan) return false;
    if (plan.paused && !paused && plan.next <= this.now) plan.next = nextByHand(plan.cron, this.now);
    plan.paused = paused;
    return true;
  }

  /** `name` stands for the run in `runs`. */
  trigger(id: string, name: string): "missing_schedule" | "missing_handler" | "failed" | "submitted" {
    const plan = this.plans.find((one) => one.id === id);
    if (!plan) return "missing_schedule";
    if (!this.#served(plan.job)) return "missing_handler";
    if (this.full.has(plan.job)) return "failed";
    const run = { job: plan.job, schedule: id, slot: name, done: false };
    this.runs.push(run);
    if (plan.overlap === "skip") plan.lastManual = run;
    return "submitted";
  }

  /** Time passes, and whatever is due is done in time. */
  advance(ms: number): void {
    const until = this.now + ms;
    for (let due; (due = this.#dueAt()) <= until;) {
      this.now = Math.max(this.now, due);
      this.#wake();
    }
    this.now = until;
  }

  #wake(): void {
    if (this.started.size === 0 || this.now < this.#rests) return;
    const due = this.plans
      .filter((plan) => this.#wakeAt(plan) <= this.now)
      .sort((a, b) => this.#wakeAt(a) - this.#wakeAt(b) || a.serial - b.serial);
    if (due.length === 0) return;
    let left = this.#config.maxSubmitsPerTick;
    for (const plan of [...due.filter((one) => !this.#isLate(one)), ...due.filter((one) => this.#isLate(one))]) {
      for (let backlog = 0; left > 0 && this.#wakeAt(plan) <= this.now; left--) {
        const late = this.#isLate(plan);
        this.#serve(plan, backlog);
        if (late) backlog++;
      }
    }
    this.#rests = left > 0 ? 0 : this.now + this.#config.tickMs;
  }

  #serve(plan: Plan, backlog: number): void {
    const { tickMs, strictHandlers } = this.#config;
    const late = this.#isLate(plan);
    const slot = plan.next;
    const wait = { slot, missing: false, tries: 0, passes: 0, until: this.now + tickMs };
    if (late && plan.misfire === "skip") plan.next = this.#firstOnTime(plan);
    else if (late && plan.misfire === "catch_up_all" && backlog >= plan.maxCatchUpRuns) plan.waits = wait;
    else if (!this.#served(plan.job)) {
      const known = plan.waits?.slot === slot && plan.waits.missing;
      if (known && !strictHandlers) plan.next = nextByHand(plan.cron, this.now);
      else plan.waits = { ...wait, missing: true };
    } else if (plan.overlap === "skip" && [plan.lastRun, plan.lastManual].some((run) => run && !run.done))
      plan.next = nextByHand(plan.cron, slot);
    else if (this.full.has(plan.job)) this.#refused(plan);
    else {
      plan.lastRun = this.#run(plan, slot);
      plan.last = slot;
      this.#leave(plan);
    }
  }

  /** To the next slot; catching up with one run leaves the rest of the backlog out. */
  #leave(plan: Plan): void {
    const once = this.#isLate(plan) && plan.misfire === "catch_up_one";
    plan.next = once ? this.#firstOnTime(plan) : nextByHand(plan.cron, plan.next);
  }

  /** One run of a slot, also when the schedule was made anew after the clock was set back. */
  #run({ id, job }: Plan, slot: number): Run {
    const earlier = this.runs.find((run) => run.job === job && run.schedule === id && run.slot === slot);
    if (earlier) return earlier;
    const run = { job, schedule: id, slot, done: false };
    this.runs.push(run);
    return run;
  }

  #refused(plan: Plan): void {
    const { submitRetries, submitBackoffBaseMs, submitBackoffMaxMs, maxConsecutiveDispatchFailures, tickMs } =
      this.#config;
    const slot = plan.next;
    const { tries, passes } = plan.waits?.slot === slot ? plan.waits : { tries: 0, passes: 0 };
    if (tries < submitRetries) {
      const until = this.now + Math.min(submitBackoffMaxMs, submitBackoffBaseMs * 2 ** tries);
      plan.waits = { slot, missing: false, tries: tries + 1, passes, until };
      return;
    }
    this.dead.push({ schedule: plan.id, slot });
    if (this.dead.length > this.#config.dlqMaxEntries) this.dead.shift();
    if (passes + 1 === maxConsecutiveDispatchFailures) this.#leave(plan);
    else plan.waits = { slot, missing: false, tries: 0, passes: passes + 1, until: this.now + tickMs };
  }

  #wakeAt({ paused, next, waits }: Plan): number {
    if (paused) return Infinity;
    return waits?.slot === next ? Math.max(next, waits.until) : next;
  }

  #dueAt(): number {
    if (this.started.size === 0) return Infinity;
    return Math.max(this.#rests, Math.min(Infinity, ...this.plans.map((plan) => this.#wakeAt(plan))));
  }

  #isLate({ next }: Plan): boolean {
    return this.now - next > this.#config.graceMs;
  }

  #firstOnTime({ cron, next }: Plan): number {
    for (let slot = next; ;) {
      slot = nextByHand(cron, slot);
      if (this.now - slot <= this.#config.graceMs) return slot;
    }
  }

  #served(job: string): boolean {
    return this.workers.some((one) => one.job === job);
  }
}
