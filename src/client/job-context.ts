import type { JobError, JobRun } from "../protocol/commands.js";
import { AbortError, TabloomError, ValidationError } from "../protocol/errors.js";
import type { Maybe, Port } from "./backend.js";
import type { JobContext, ResultOf } from "./job-types.js";
import { andThen, promised } from "./maybe.js";
import { boundedText, delay, duration, identifier } from "./ranges.js";
import { expBackoff } from "./retry.js";
import { sleep } from "./signals.js";
import { decodeMeta, fromText, toText } from "./values.js";

/** As good as for ever, and still a safe number when added to now. */
export const FOREVER_MS = 2 ** 45;

/** What a run tells the loop that began it. */
export interface RunHost {
  readonly port: Port;
  /** It sleeps: its slot is free. */
  suspended(run: HandlerRun): void;
  /** Somebody else decides about the job now. */
  lost(run: HandlerRun, reason: JobError): void;
}

/** One run of a handler, as the handler sees it. Made for every job: what it may never need is made when asked for. */
export class HandlerRun implements JobContext {
  readonly jobId: string;
  readonly attempt: number;
  /** Changes when it goes on after a sleep. */
  runId: string;
  readonly #host: RunHost;
  readonly #claimed: JobRun;
  /** The handler has left, or its job is lost: what it still asks for is refused. */
  over: Error | undefined;
  stopped = false;
  /** Fails the job whatever the handler makes of it. */
  fatal: Error | undefined;
  #controller: AbortController | undefined;
  /** The run that is watched for its loss. */
  #watched: string | undefined;
  #steps: StepOrder | undefined;
  /** Resolves when the sleep that freed the slot is over. */
  #asleep: { promise: Promise<void>; resolve: () => void; reject: (error: Error) => void } | undefined;

  constructor(host: RunHost, claimed: JobRun) {
    this.#host = host;
    this.#claimed = claimed;
    this.jobId = claimed.jobId;
    this.attempt = claimed.attempt;
    this.runId = claimed.runId;
  }

  get key(): string {
    // Absent when there is none, as the type says.
    return this.#claimed.key as string;
  }

  get meta(): unknown {
    return decodeMeta(this.#claimed.meta);
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.over) this.#controller.abort(this.over);
      else this.watch();
    }
    return this.#controller.signal;
  }

  // Getters, so that methods may be taken off the context, and cost nothing where they are not used.

  get heartbeat() {
    return (options: { leaseMs?: number } = {}): Promise<void> =>
      this.#tell(() => {
        const leaseMs = options.leaseMs === undefined ? {} : { leaseMs: duration("leaseMs", options.leaseMs) };
        return this.#host.port.call("job.heartbeat", { runId: this.runId, ...leaseMs });
      });
  }

  get progress() {
    return (value: unknown): Promise<void> =>
      this.#tell(() => this.#host.port.call("job.progress", { runId: this.runId, value: toText(value, "progress") }));
  }

  get log() {
    return (text: string): Promise<void> =>
      this.#tell(() => this.#host.port.call("job.log", { runId: this.runId, text: boundedText("text", text) }));
  }

  get step() {
    return <T>(step: { id: string; run: () => T | Promise<T> }): Promise<ResultOf<T>> => this.#step(step);
  }

  get sleep() {
    return (ms: number, { id }: { id?: string } = {}): Promise<void> => this.#sleep(ms, id);
  }

  /** Ends what the handler may do, and tells it. */
  end(reason: Error): void {
    if (this.over) return;
    this.over = reason;
    this.#controller?.abort(reason);
    this.#asleep?.reject(new AbortError(reason));
  }

  /** Ends it because its handle stops: whatever it comes to, the job is handed back. */
  stop(reason: Error): void {
    this.stopped = !this.over;
    this.end(reason);
  }

  /** Goes on after a sleep, under a new claim. */
  resume(runId: string): void {
    const watched = this.#watched !== undefined;
    this.runId = runId;
    if (watched) this.watch();
    this.#asleep?.resolve();
    this.#asleep = undefined;
  }

  /** From now on the loss of the job is noticed at once. */
  watch(): void {
    if (this.#watched === this.runId || this.over) return;
    this.#watched = this.runId;
    void this.#watch(this.runId);
  }

  async #watch(runId: string): Promise<void> {
    for (let failures = 1; this.runId === runId && !this.over; failures++) {
      try {
        const loss = await this.#host.port.call("job.watch", { runId, jobId: this.jobId, waitMs: FOREVER_MS });
        // Also answered when it went on under another id, or left.
        if (loss && this.runId === runId && !this.over) this.#host.lost(this, loss);
        return;
      } catch (error) {
        if (!(error instanceof TabloomError && error.retryable)) return;
        await sleep(expBackoff(failures));
      }
    }
  }

  /** Something that is told of a job that is still ours. Nobody has to await it. */
  #tell(call: () => Maybe<boolean>): Promise<void> {
    const told = promised(() => {
      this.#assertOurs();
      return andThen(this.#awake(), () => andThen(call(), (ours) => (ours ? undefined : this.#lost())));
    });
    told.catch(() => {});
    return told;
  }

  async #step<T>({ id, run }: { id: string; run: () => T | Promise<T> }): Promise<ResultOf<T>> {
    const { index, stored } = this.#next("step", identifier("id", id));
    if (typeof stored === "string") return fromText(stored) as ResultOf<T>;
    await this.#awake();
    this.#assertOurs();
    const value = toText(await run(), `the result of step ${id}`);
    this.#assertOurs();
    if (!(await this.#host.port.call("job.step", { runId: this.runId, index, stepId: id, value }))) await this.#lost();
    return fromText(value) as ResultOf<T>;
  }

  async #sleep(ms: number, id: string | undefined): Promise<void> {
    delay("ms", ms);
    const { index, stepId } = this.#next("sleep", id === undefined ? undefined : identifier("id", id));
    await this.#awake();
    this.#assertOurs();
    const slept = await this.#host.port.call("job.sleep", { runId: this.runId, index, stepId, ms });
    this.#assertOurs();
    if (slept === null) await this.#lost();
    else if (slept.parked) await this.#suspend();
    else if (slept.leftMs > 0) await this.#wait(slept.leftMs);
  }

  #suspend(): Promise<void> {
    let resolve!: () => void;
    let reject!: (error: Error) => void;
    const promise = new Promise<void>((...settle) => ([resolve, reject] = settle));
    this.#asleep = { promise, resolve, reject };
    this.#host.suspended(this);
    this.watch();
    return promise;
  }

  /** By the hub's clock. */
  async #wait(waitMs: number): Promise<void> {
    const { runId, jobId, signal } = this;
    const loss = await this.#host.port.call("job.watch", { runId, jobId, waitMs }, { signal });
    if (loss) await this.#lost(loss);
  }

  #awake(): Maybe<void> {
    return this.#asleep?.promise;
  }

  async #lost(known?: JobError): Promise<never> {
    const { runId, jobId } = this;
    const loss = known ?? (await this.#host.port.call("job.watch", { runId, jobId, waitMs: 0 }));
    if (!this.over) this.#host.lost(this, loss ?? { message: "the job was taken from this run", code: "LOST" });
    throw new AbortError(this.over);
  }

  #assertOurs(): void {
    if (this.over) throw new AbortError(this.over);
  }

  #next(kind: "step" | "sleep", id: string | undefined): StepPlace {
    this.#assertOurs();
    this.#steps ??= new StepOrder(this.#claimed);
    try {
      return this.#steps.next(kind, id);
    } catch (error) {
      if ((error as TabloomError).code === "NONDETERMINISTIC") this.fatal = error as Error;
      throw error;
    }
  }
}

interface StepPlace {
  index: number;
  stepId: string;
  stored: string | number | undefined;
}

/** The order of steps and sleeps in this attempt, held against that of the attempts before. */
class StepOrder {
  readonly #stored = new Map<number, { name: string; value: string | number }>();
  readonly #storedNames = new Set<string>();
  readonly #used = new Set<string>();
  #index = 0;
  #sleeps = 0;

  constructor({ steps }: JobRun) {
    for (const [index, stepId, value] of steps ?? []) {
      const name = nameOf(typeof value === "number" ? "sleep" : "step", stepId);
      this.#stored.set(index, { name, value });
      this.#storedNames.add(name);
    }
  }

  next(kind: "step" | "sleep", id: string | undefined): StepPlace {
    const stepId = id ?? `sleep ${++this.#sleeps}`;
    const name = nameOf(kind, stepId);
    if (this.#used.has(name)) throw new ValidationError(`${kind} "${stepId}" comes twice in one attempt`);
    this.#used.add(name);
    const index = this.#index++;
    const stored = this.#stored.get(index);
    // Steps that ran side by side may have been stored in any order, each at its own place.
    if (stored ? stored.name !== name : this.#storedNames.has(name)) {
      throw new TabloomError(
        "NONDETERMINISTIC",
        `${kind} "${stepId}" is number ${index + 1} now, where an earlier attempt had another order`,
      );
    }
    return { index, stepId, stored: stored?.value };
  }
}

function nameOf(kind: "step" | "sleep", id: string): string {
  return `${kind} ${id}`;
}
