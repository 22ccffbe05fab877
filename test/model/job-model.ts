import type { JobConfig, JobError, JobEvent, JobItem, JobRecord, JobStats } from "../../src/protocol/commands.js";

type Status = JobRecord["status"];

interface Entry {
  seq: number;
  item: JobItem;
  submittedAt: number;
  status: Status;
  /** Place in line and since when, kept while it runs. */
  order: number;
  readyAt: number;
  /** Delayed, retry, parked. */
  dueAt: number;
  /** Parked, due, and there for its own handle only. */
  kept: boolean;
  /** Who runs it, or sleeps in it. */
  run: { id: string; handle: string; owner: string; leftMs: number } | undefined;
  resumes: string | undefined;
  leaseUntil: number;
  deadlineAt: number;
  failures: number;
  crashes: number;
  error: JobError | undefined;
  claimedAt: number;
  steps: Map<number, { id: string; value: string | number }>;
  progress: string | undefined;
  finishedAt: number;
  finishedAs: number;
  result: string | undefined;
}

interface Waiter {
  name: string;
  untilAt: number;
  /** undefined: not yet. */
  look(): unknown;
}

const PARKED_FROM = 5000;
const KEPT = 1000;
const RISE = 30_000;
const DONE: readonly Status[] = ["completed", "failed", "cancelled"];

/** What a job is, as plainly as possible: lists that are searched, and everything is looked at at every step. */
export class JobModel {
  now: number;
  paused = false;
  entries: Entry[] = [];
  keys: { key: string; jobId: string; untilAt: number }[] = [];
  events: JobEvent[] = [];
  handles = new Map<string, { owner: string; worker: boolean }>();
  /** Handles that found nothing, longest ago first. */
  idle: string[] = [];
  claims: { handle: string; owner: string; runId: string; max: number; untilAt: number }[] = [];
  waiters: Waiter[] = [];
  /** Answers to calls that waited, or were answered at once, by name. */
  answered = new Map<string, unknown>();
  readonly #config: JobConfig;
  #next = 1;
  #seq = 0;

  constructor(config: JobConfig, now: number) {
    this.#config = config;
    this.now = now;
  }

  // --- Submitting -------------------------------------------------------------------------------------------------

  submit(items: readonly JobItem[]): (string | null)[] {
    return items.map((item) => {
      this.#forgetKeys();
      const known = item.key && this.keys.find(({ key }) => key === item.key);
      if (known) return known.jobId;
      const ageFrom = Math.max(this.now, item.at ?? this.now + (item.delayMs ?? 0));
      const entry: Entry = {
        seq: ++this.#seq,
        item,
        submittedAt: this.now,
        status: ageFrom > this.now ? "delayed" : "submitted",
        order: this.#next++,
        readyAt: this.now,
        dueAt: ageFrom,
        kept: false,
        run: undefined,
        resumes: undefined,
        leaseUntil: 0,
        deadlineAt: 0,
        failures: 0,
        crashes: 0,
        error: undefined,
        claimedAt: 0,
        steps: new Map(),
        progress: undefined,
        finishedAt: 0,
        finishedAs: 0,
        result: undefined,
      };
      this.entries.push(entry);
      if (item.key) {
        this.keys.push({ key: item.key, jobId: item.jobId, untilAt: this.now + item.keyTtlMs! });
      }
      this.#log(entry, { type: "submitted" });
      return null;
    });
  }

  /** Those whose time is over, unless their job is not. */
  #forgetKeys(): void {
    this.keys = this.keys.filter(({ untilAt, jobId }) => untilAt > this.now || this.#live(jobId));
  }

  cancel(jobId: string, reason: string | undefined): boolean {
    const entry = this.#live(jobId);
    if (!entry) return false;
    this.#finish(entry, "cancelled", reason === undefined ? undefined : { message: reason, code: "CANCELLED" });
    return true;
  }

  retryFailed(jobIds: string[] | undefined): number {
    const failed = this.entries.filter(
      ({ item, status }) => status === "failed" && (jobIds === undefined || jobIds.includes(item.jobId)),
    );
    const chosen = jobIds
      ? [...new Set(jobIds)].flatMap((id) => failed.filter(({ item }) => item.jobId === id))
      : failed.sort((a, b) => a.finishedAs - b.finishedAs);
    for (const entry of chosen) {
      Object.assign(entry, { failures: 0, crashes: 0, error: undefined, result: undefined, finishedAt: 0 });
      this.#toTheBack(entry, undefined);
      const { key, jobId, keyTtlMs } = entry.item;
      this.#forgetKeys();
      if (key && !this.keys.some((one) => one.key === key)) {
        this.keys.push({ key, jobId, untilAt: this.now + keyTtlMs! });
      }
      this.#log(entry, { type: "submitted" });
    }
    return chosen.length;
  }

  // --- Running ----------------------------------------------------------------------------------------------------

  claim(handle: string, owner: string, runId: string, max: number, waitMs: number): void {
    if (!this.handles.has(handle)) this.handles.set(handle, { owner, worker: true });
    const runs = this.#take(handle, owner, runId, max);
    if (runs.length > 0 || waitMs === 0) this.answered.set(runId, runs);
    else this.claims.push({ handle, owner, runId, max, untilAt: this.now + waitMs });
  }

  #take(handle: string, owner: string, runId: string, max: number): unknown[] {
    const runs: unknown[] = [];
    const limit = this.#config.globalConcurrency || Infinity;
    while (!this.paused && runs.length < max && this.#count("running") < limit) {
      const entry =
        this.entries.filter((one) => one.kept && one.run?.handle === handle).sort((a, b) => a.order - b.order)[0] ??
        this.#best();
      if (!entry) break;
      const id = max === 1 ? runId : `${runId}.${runs.length}`;
      const resumed = entry.run?.handle === handle && entry.run.owner === owner ? entry.run : undefined;
      const bound = resumed?.leftMs || this.#config.timeoutMs;
      if (entry.kept) Object.assign(entry, { order: this.#next++, readyAt: this.now });
      Object.assign(entry, {
        status: "running",
        kept: false,
        run: { id, handle, owner, leftMs: 0 },
        resumes: resumed?.id,
        leaseUntil: this.now + entry.item.leaseMs!,
        deadlineAt: bound ? this.now + bound : Infinity,
        claimedAt: this.now,
      });
      this.#log(entry, { type: "started", attempt: entry.failures + 1 });
      runs.push({
        runId: id,
        jobId: entry.item.jobId,
        input: entry.item.input,
        attempt: entry.failures + 1,
        leaseMs: entry.item.leaseMs,
        ...(entry.item.key === undefined ? {} : { key: entry.item.key }),
        ...(resumed ? { resumes: resumed.id } : entry.steps.size > 0 ? { steps: this.#stepsOf(entry) } : {}),
      });
    }
    this.idle = this.idle.filter((name) => runs.length === 0 || name !== handle);
    if (runs.length === 0 && !this.idle.includes(handle)) this.idle.push(handle);
    return runs;
  }

  /** Of what may be claimed: the lowest effective priority, then the first in line. */
  #best(): Entry | undefined {
    const effective = ({ item, readyAt }: Entry): number =>
      Math.max(0, (item.priority ?? 5) - Math.floor((this.now - readyAt) / RISE));
    const free = this.entries.filter((entry) => entry.status === "submitted" && !this.#isBehind(entry));
    return free.sort((a, b) => effective(a) - effective(b) || a.order - b.order)[0];
  }

  /** Another of its ordering key is under way, or comes first. */
  #isBehind({ item, seq }: Entry): boolean {
    return this.entries.some(
      (other) =>
        item.orderingKey !== undefined &&
        other.item.orderingKey === item.orderingKey &&
        other.seq !== seq &&
        (["running", "parked", "retry"].includes(other.status) || (other.status === "submitted" && other.seq < seq)),
    );
  }

  #stepsOf({ steps }: Entry): [number, string, string | number][] {
    return [...steps]
      .map(([index, { id, value }]): [number, string, string | number] => [index, id, value])
      .sort((a, b) => a[0] - b[0]);
  }

  finish(runId: string, outcome: { result: string } | { error: JobError; retry: boolean }): boolean {
    const entry = this.#held(runId);
    if (!entry) return false;
    if ("error" in outcome) this.#fail(entry, outcome.error, outcome.retry);
    else {
      entry.result = outcome.result;
      this.#finish(entry, "completed", undefined);
    }
    return true;
  }

  #fail(entry: Entry, error: JobError, retry: boolean): void {
    const { backoff, maxAttempts = 1 } = entry.item;
    entry.failures++;
    entry.error = error;
    if (!retry || entry.failures >= maxAttempts) return this.#finish(entry, "failed", error);
    entry.run = undefined;
    entry.kept = false;
    const grown = backoff?.kind === "exp" ? backoff.baseMs * 2 ** (entry.failures - 1) : (backoff?.baseMs ?? 0);
    const delay = backoff?.kind === "exp" ? Math.min(grown, backoff.maxMs ?? Infinity) : grown;
    if (delay > 0) Object.assign(entry, { status: "retry", dueAt: this.now + delay });
    else this.#toTheBack(entry);
    this.#log(entry, { type: "retry", attempt: entry.failures, error, nextAt: this.now + delay });
  }

  heartbeat(runId: string, leaseMs: number | undefined): boolean {
    const entry = this.#held(runId);
    if (!entry || entry.status !== "running") return entry !== undefined;
    entry.leaseUntil =
      leaseMs === undefined ? Math.max(entry.leaseUntil, this.now + entry.item.leaseMs!) : this.now + leaseMs;
    this.#log(entry, { type: "heartbeat", attempt: entry.failures + 1 });
    return true;
  }

  progress(runId: string, value: string): boolean {
    const entry = this.#alive(runId);
    if (!entry) return false;
    entry.progress = value;
    this.#log(entry, { type: "progress", value });
    return true;
  }

  step(runId: string, index: number, stepId: string, value: string): boolean {
    const entry = this.#alive(runId);
    if (!entry) return false;
    if (entry.steps.has(index)) return true;
    entry.steps.set(index, { id: stepId, value });
    this.#log(entry, { type: "step", stepId });
    return true;
  }

  sleep(runId: string, index: number, stepId: string, ms: number): { leftMs: number; parked: boolean } | null {
    const entry = this.#held(runId);
    if (!entry) return null;
    const stored = entry.steps.get(index)?.value;
    const untilAt = typeof stored === "number" ? stored : this.now + ms;
    const leftMs = Math.max(0, untilAt - this.now);
    if (entry.status !== "running") return { leftMs, parked: true };
    if (stored === undefined) entry.steps.set(index, { id: stepId, value: untilAt });
    if (leftMs <= PARKED_FROM) {
      entry.leaseUntil = Math.max(entry.leaseUntil, untilAt + entry.item.leaseMs!, this.now + entry.item.leaseMs!);
      return { leftMs, parked: false };
    }
    entry.run!.leftMs = entry.deadlineAt === Infinity ? 0 : Math.max(1, entry.deadlineAt - this.now);
    Object.assign(entry, { status: "parked", dueAt: untilAt, kept: false });
    this.#log(entry, { type: "parked", untilAt });
    return { leftMs, parked: true };
  }

  release(runIds: readonly string[]): void {
    for (const runId of runIds) {
      const entry = this.#held(runId);
      if (entry) this.#handBack(entry);
    }
  }

  #handBack(entry: Entry): void {
    entry.run = undefined;
    if (entry.status === "running") entry.status = "submitted";
    else if (entry.kept) this.#toTheBack(entry);
  }

  register(handle: string, owner: string, worker: boolean): void {
    this.handles.set(handle, { owner, worker });
  }

  unregister(handle: string): void {
    this.handles.delete(handle);
    this.idle = this.idle.filter((name) => name !== handle);
  }

  ownerGone(owner: string, died: boolean): void {
    for (const entry of this.entries.filter(({ run }) => run?.owner === owner)) {
      if (!died || entry.status !== "running") this.#handBack(entry);
      else {
        entry.crashes++;
        this.#log(entry, { type: "crashed", crashes: entry.crashes });
        if (entry.crashes <= this.#config.maxCrashes) this.#handBack(entry);
        else {
          const message = `its owner died ${entry.crashes} times while it ran`;
          this.#finish(entry, "failed", { message, code: "CRASHED" });
        }
      }
    }
    for (const [handle, known] of [...this.handles]) if (known.owner === owner) this.unregister(handle);
  }

  // --- Waiting ----------------------------------------------------------------------------------------------------

  join(name: string, jobId: string, waitMs: number): void {
    this.#wait(name, waitMs, () => {
      const entry = this.#find(jobId);
      if (!entry) return { status: "failed", error: { code: "UNKNOWN_JOB" } };
      if (!DONE.includes(entry.status)) return undefined;
      const { status, result, error } = entry;
      return { status, ...(result === undefined ? {} : { result }), ...(error ? { error } : {}) };
    });
  }

  watch(name: string, runId: string, jobId: string, waitMs: number): void {
    this.#wait(name, waitMs, () => {
      if (this.#held(runId)) return undefined;
      const entry = this.#find(jobId);
      if (!entry) return { code: "UNKNOWN_JOB" };
      if (entry.status === "cancelled") return { code: "CANCELLED" };
      return { code: entry.error?.code === "TIMEOUT" ? "TIMEOUT" : "LOST" };
    });
  }

  #wait(name: string, waitMs: number, look: () => unknown): void {
    const found = look();
    if (found !== undefined) this.answered.set(name, found);
    else this.waiters.push({ name, untilAt: this.now + waitMs, look });
  }

  /** Answers whoever can be answered now: claims in the order in which their handles found nothing. */
  serve(): void {
    for (const handle of [...this.idle]) {
      const claim = this.claims.find((one) => one.handle === handle);
      const runs = claim && this.#take(handle, claim.owner, claim.runId, claim.max);
      if (!runs?.length) continue;
      this.claims = this.claims.filter((one) => one !== claim);
      this.answered.set(claim!.runId, runs);
    }
    this.waiters = this.waiters.filter(({ name, look }) => {
      const found = look();
      if (found !== undefined) this.answered.set(name, found);
      return found === undefined;
    });
    this.#forgetSurplus();
  }

  // --- Time -------------------------------------------------------------------------------------------------------

  advance(ms: number): void {
    const target = this.now + ms;
    for (let due; (due = this.#dueAt()) <= target;) {
      this.now = Math.max(this.now, due);
      this.#wake();
      this.serve();
      this.#expire();
    }
    this.now = target;
  }

  #dueAt(): number {
    return Math.min(
      Infinity,
      ...this.entries.map((entry) => this.#endOf(entry)),
      ...this.entries
        .filter(({ status }) => DONE.includes(status))
        .map(({ finishedAt }) => finishedAt + this.#config.retentionMs),
      ...this.claims.map(({ untilAt }) => untilAt),
      ...this.waiters.map(({ untilAt }) => untilAt),
    );
  }

  #endOf({ status, dueAt, leaseUntil, deadlineAt }: Entry): number {
    if (["delayed", "retry", "parked"].includes(status)) return dueAt;
    return status === "running" ? Math.min(leaseUntil, deadlineAt) : Infinity;
  }

  #wake(): void {
    this.#forgetKeys();
    const due = this.entries.filter((entry) => this.#endOf(entry) <= this.now).sort((a, b) => a.seq - b.seq);
    for (const entry of due) {
      if (entry.status === "running") this.#fail(entry, { message: "", code: "TIMEOUT" }, true);
      else if (entry.status !== "parked") this.#toTheBack(entry);
      else if (entry.run && !entry.kept) {
        Object.assign(entry, { kept: true, dueAt: this.now + KEPT, order: this.#next++ });
      } else this.#toTheBack(entry, entry.run);
    }
    this.entries = this.entries.filter(
      ({ status, finishedAt }) => !DONE.includes(status) || finishedAt + this.#config.retentionMs > this.now,
    );
  }

  #expire(): void {
    for (const { runId, untilAt } of this.claims) if (untilAt <= this.now) this.answered.set(runId, []);
    this.claims = this.claims.filter(({ untilAt }) => untilAt > this.now);
    for (const { name, untilAt } of this.waiters) if (untilAt <= this.now) this.answered.set(name, null);
    this.waiters = this.waiters.filter(({ untilAt }) => untilAt > this.now);
  }

  /** Whether no event can be too old by now. */
  get retainsAll(): boolean {
    return this.events.every(({ publishedAt }) => publishedAt >= this.now - this.#config.retentionMs);
  }

  // --- Looking ----------------------------------------------------------------------------------------------------

  stats(): Omit<JobStats, "waiters"> {
    this.#forgetKeys();
    const count = (status: Status): number => this.#count(status);
    return {
      submitted: count("submitted"),
      delayed: count("delayed"),
      running: count("running"),
      parked: count("parked"),
      retry: count("retry"),
      completed: count("completed"),
      failed: count("failed"),
      cancelled: count("cancelled"),
      keys: this.keys.length,
      paused: this.paused,
      handlers: this.handles.size,
      workers: [...this.handles.values()].filter(({ worker }) => worker).length,
    };
  }

  /** What can be seen of every job. */
  records(): unknown[] {
    return this.entries.map((entry) => ({
      jobId: entry.item.jobId,
      status: entry.status,
      failures: entry.failures,
      crashes: entry.crashes,
      steps: this.#stepsOf(entry).map(([, id]) => id),
      progress: entry.progress,
      error: entry.error?.code,
      dueAt: ["delayed", "retry", "parked"].includes(entry.status) ? entry.dueAt : undefined,
      by: entry.status === "running" ? entry.run!.owner : undefined,
      leaseUntil: entry.status === "running" ? entry.leaseUntil : undefined,
      result: entry.result,
      finishedAt: DONE.includes(entry.status) ? entry.finishedAt : undefined,
    }));
  }

  // --- Inside -----------------------------------------------------------------------------------------------------

  #finish(entry: Entry, status: Status, error: JobError | undefined): void {
    const { key, keyTtlMs } = entry.item;
    Object.assign(entry, {
      status,
      error,
      run: undefined,
      kept: false,
      finishedAt: this.now,
      finishedAs: this.#next++,
    });
    if (status !== "failed") entry.steps.clear();
    const own = this.keys.find((one) => one.key === key && one.jobId === entry.item.jobId);
    if (own && entry.claimedAt > 0) own.untilAt = Math.max(own.untilAt, entry.claimedAt + keyTtlMs!);
    if (status === "completed") this.#log(entry, { type: "completed", attempt: entry.failures + 1 });
    else if (status === "failed") this.#log(entry, { type: "failed", attempt: entry.failures, error: error! });
    else this.#log(entry, { type: "cancelled", ...(error ? { reason: error.message } : {}) });
  }

  #forgetSurplus(): void {
    const done = this.entries.filter(({ status }) => DONE.includes(status)).sort((a, b) => b.finishedAs - a.finishedAs);
    const surplus = new Set(done.slice(this.#config.retentionCount));
    this.entries = this.entries.filter((entry) => !surplus.has(entry));
  }

  #toTheBack(entry: Entry, run?: Entry["run"]): void {
    Object.assign(entry, { status: "submitted", order: this.#next++, readyAt: this.now, kept: false, run });
  }

  #log({ item }: Entry, data: object): void {
    this.events.push({ n: this.events.length + 1, jobId: item.jobId, publishedAt: this.now, ...data } as JobEvent);
  }

  #count(status: Status): number {
    return this.entries.filter((entry) => entry.status === status).length;
  }

  #find(jobId: string): Entry | undefined {
    return this.entries.find(({ item }) => item.jobId === jobId);
  }

  #live(jobId: string): Entry | undefined {
    const entry = this.#find(jobId);
    return entry && !DONE.includes(entry.status) ? entry : undefined;
  }

  #held(runId: string): Entry | undefined {
    return this.entries.find(({ run }) => run?.id === runId);
  }

  /** The job of a run that shows a sign of life. */
  #alive(runId: string): Entry | undefined {
    const entry = this.#held(runId);
    if (entry?.status === "running") entry.leaseUntil = Math.max(entry.leaseUntil, this.now + entry.item.leaseMs!);
    return entry;
  }
}
