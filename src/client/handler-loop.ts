import type { JobError, JobResult, JobRun } from "../protocol/commands.js";
import { NonRetryableError, TabloomError } from "../protocol/errors.js";
import { newId } from "../protocol/ids.js";
import type { Maybe, Port } from "./backend.js";
import { FOREVER_MS, HandlerRun } from "./job-context.js";
import type { JobContext } from "./job-types.js";
import { andThen, isPromise } from "./maybe.js";
import { expBackoff } from "./retry.js";
import type { Schema } from "./schema.js";
import { setLongTimeout, sleep } from "./signals.js";
import { decodeValue, encodeValue, toText } from "./values.js";

/** Runs that are still under way after this time are watched for their loss. */
const WATCH_AFTER_MS = 5;
/** How long a handler that has lost its job may take to leave before its slot is given away. */
const LEAVE_MS = 1000;
/** Where everything answers at once, other tasks of this thread get their turn after so long. */
const SLICE_MS = 50;

export interface HandlerOptions {
  schema: Schema;
  resultSchema: Schema | undefined;
  process: (run: { ctx: JobContext; input: never }) => unknown;
  concurrency: number;
  worker: boolean;
}

/** What a handle does at one instance: it is known there, and runs jobs in as many slots as it has. */
export class HandlerLoop {
  readonly port: Port;
  readonly #options: HandlerOptions;
  readonly #handleId = newId();
  /** In slots. */
  readonly #running = new Set<HandlerRun>();
  /** Those whose slot is free: by the id under which they sleep. */
  readonly #asleep = new Map<string, HandlerRun>();
  /** Handlers that have not left, wherever they are. */
  readonly #present = new Set<HandlerRun>();
  /** Ends the claim under way. There while the loop runs. */
  #taking: AbortController | undefined;
  /** Claims under way, and the slots that they may fill. */
  #claims = 0;
  #asked = 0;
  /** The last claim got all that it asked for. */
  #backlog = false;
  #filling = false;
  /** Whether `#fill` is about to be called. */
  #willFill = false;
  /** Whether `#watchAll` is about to be called. */
  #willWatch = false;
  #sliceEndsAt = 0;
  /** Finishes and releases that are not answered. */
  readonly #settling = new Set<Promise<unknown>>();
  #stopping: Promise<{ abandoned: number }> | undefined;
  #startAgain = false;
  #known: Promise<void> | undefined;
  #forget = (): void => {};
  /** Called when the last handler has left. */
  #onLeft: (() => void) | undefined;

  constructor(port: Port, options: HandlerOptions) {
    this.port = port;
    this.#options = options;
  }

  /** Begins to work, once those of an earlier time have left. Resolves when the handle is known. */
  start(): Promise<void> {
    if (this.#stopping) {
      this.#startAgain = true;
      return this.#stopping.then(() => this.#known);
    }
    if (this.#known === undefined) {
      const known = this.#begin();
      this.#known = known;
      // What made it fail may pass: the next submit tries again.
      known.catch(() => this.#end(known));
    }
    return this.#known;
  }

  stop(timeoutMs: number): Promise<{ abandoned: number }> {
    this.#startAgain = false;
    if (this.#known === undefined) return this.#stopping ?? Promise.resolve({ abandoned: 0 });
    this.#stopping = this.#stop(timeoutMs).finally(() => {
      this.#stopping = undefined;
      if (this.#startAgain) void this.start().catch(() => {});
    });
    return this.#stopping;
  }

  /** Its slot is free: its job sleeps. */
  suspended(run: HandlerRun): void {
    this.#running.delete(run);
    this.#asleep.set(run.runId, run);
    this.#fill();
  }

  lost(run: HandlerRun, { message, code }: JobError): void {
    this.#asleep.delete(run.runId);
    run.end(Object.assign(new Error(message), { name: "JobLostError", code }));
    // A handler that does not listen must not keep the slot for ever.
    if (this.#running.has(run)) setLongTimeout(() => this.#free(run), LEAVE_MS, { keepAlive: false });
  }

  // --- Being there ------------------------------------------------------------------------------------------------

  async #begin(): Promise<void> {
    const { worker } = this.#options;
    const stopAsserting = this.port.reassert(() => ({ op: "job.register", body: this.#registration() }));
    const onVisibility = (): void => this.#tell(() => this.port.call("job.register", this.#registration()));
    if (worker && typeof document === "object") document.addEventListener("visibilitychange", onVisibility);
    this.#forget = () => {
      stopAsserting();
      if (worker && typeof document === "object") document.removeEventListener("visibilitychange", onVisibility);
    };
    this.#taking = new AbortController();
    const registered = this.port.call("job.register", this.#registration());
    // In a microtask: no handler runs inside the call that started it.
    if (worker) queueMicrotask(() => this.#fill());
    await registered;
  }

  /** Ceases to take jobs; undefined: whoever began. */
  #end(known = this.#known): void {
    if (known !== this.#known) return;
    this.#known = undefined;
    this.#taking?.abort(STOPPED);
    this.#taking = undefined;
    this.#forget();
  }

  #registration(): { handleId: string; worker: boolean; hidden?: boolean } {
    const { worker } = this.#options;
    const hidden = worker && typeof document === "object" && document.visibilityState === "hidden";
    return { handleId: this.#handleId, worker, ...(hidden ? { hidden } : {}) };
  }

  async #stop(timeoutMs: number): Promise<{ abandoned: number }> {
    this.#end();
    this.#tell(() => this.port.call("job.unregister", { handleId: this.#handleId }));
    for (const run of [...this.#present]) run.stop(STOPPED);
    await this.#left(timeoutMs);
    const abandoned = [...this.#present];
    // Their handlers may leave when they like: what they say then is refused.
    for (const run of abandoned) this.#release(run);
    this.#present.clear();
    this.#running.clear();
    this.#asleep.clear();
    await Promise.allSettled(this.#settling);
    return { abandoned: abandoned.length };
  }

  /** Resolves when no handler is there any more, or when that takes too long. */
  #left(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.#present.size === 0) return resolve();
      const giveUp = setLongTimeout(done, timeoutMs);
      this.#onLeft = done;
      function done(): void {
        giveUp();
        resolve();
      }
    });
  }

  // --- Claiming ---------------------------------------------------------------------------------------------------

  /** Takes jobs for all slots that are free. */
  #fill(): void {
    if (this.#filling) return;
    this.#filling = true;
    try {
      while (this.#taking && this.#mayClaim()) {
        if (this.#isSliceOver()) return;
        const max = this.#portion();
        const claimed = this.#claim(this.#taking.signal, max);
        if (isPromise(claimed)) return this.#await(claimed, max);
        this.#backlog = claimed.length >= max;
        for (const run of claimed) this.#take(run);
      }
    } finally {
      this.#filling = false;
    }
  }

  /** One claim for all slots that become free in this moment. */
  #fillSoon(): void {
    if (this.#willFill) return;
    this.#willFill = true;
    queueMicrotask(() => {
      this.#willFill = false;
      this.#fill();
    });
  }

  #freeSlots(): number {
    return this.#options.concurrency - this.#running.size - this.#asked;
  }

  #mayClaim(): boolean {
    return this.#freeSlots() > 0 && this.#claims < (this.#backlog ? 2 : 1);
  }

  /** Of a backlog half of the slots: while one half works and says so, the other half's jobs are on their way. */
  #portion(): number {
    const free = this.#freeSlots();
    return this.#backlog ? Math.min(free, Math.ceil(this.#options.concurrency / 2)) : free;
  }

  #claim(signal: AbortSignal, max: number): Maybe<JobRun[]> {
    const body = { runId: newId(), handleId: this.#handleId, max, waitMs: FOREVER_MS };
    // Handed out when we did not want it any more.
    const onLate = (late: JobRun[]): void => {
      const runIds = late.map(({ runId }) => runId);
      if (runIds.length > 0) this.#tell(() => this.port.call("job.release", { runIds }));
    };
    try {
      return this.port.call("job.claim", body, { signal, onLate });
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  #await(claimed: Promise<JobRun[]>, max: number): void {
    this.#claims++;
    this.#asked += max;
    // Together they would be answered together, and the halves be one again.
    if (this.#mayClaim()) setTimeout(() => this.#fill());
    void this.#taken(claimed, max);
  }

  async #taken(claimed: Promise<JobRun[]>, max: number): Promise<void> {
    const taking = this.#taking;
    let runs: JobRun[] = [];
    try {
      runs = await claimed;
    } catch (error) {
      if (error instanceof TabloomError && error.retryable) await sleep(expBackoff(3), taking?.signal);
      // Stopped, or the backend is closed, or the instance refuses us.
      else if (taking === this.#taking) this.#end();
    }
    this.#claims--;
    this.#asked -= max;
    this.#backlog = runs.length >= max;
    for (const run of runs) {
      if (taking === this.#taking) this.#take(run);
      else this.#release(run);
    }
    this.#fill();
  }

  #isSliceOver(): boolean {
    const now = performance.now();
    if (now < this.#sliceEndsAt) return false;
    const idle = now - this.#sliceEndsAt > SLICE_MS;
    this.#sliceEndsAt = now + SLICE_MS;
    if (idle) return false;
    setTimeout(() => this.#fill());
    return true;
  }

  // --- Running ----------------------------------------------------------------------------------------------------

  #take(claimed: JobRun): void {
    // A handler of the same claim may have stopped us.
    if (this.#taking === undefined) return this.#release(claimed);
    if (claimed.resumes === undefined) {
      const run = new HandlerRun(this, claimed);
      this.#running.add(run);
      this.#present.add(run);
      if (!this.#willWatch) {
        this.#willWatch = true;
        setTimeout(() => this.#watchAll(), WATCH_AFTER_MS);
      }
      this.#handle(run, claimed.input);
      return;
    }
    const run = this.#asleep.get(claimed.resumes);
    // It left in the meantime.
    if (run === undefined) return this.#release(claimed);
    this.#asleep.delete(claimed.resumes);
    this.#running.add(run);
    run.resume(claimed.runId);
  }

  #watchAll(): void {
    this.#willWatch = false;
    for (const run of this.#running) run.watch();
  }

  #handle(run: HandlerRun, text: string): void {
    let result: Maybe<unknown>;
    try {
      result = andThen(decodeValue(this.#options.schema, text), (input) =>
        run.over ? undefined : this.#options.process({ ctx: run, input: input as never }),
      );
    } catch (error) {
      return this.#threw(run, error);
    }
    if (!isPromise(result)) return this.#returned(run, result);
    result.then(
      (value) => this.#returned(run, value),
      (error: unknown) => this.#threw(run, error),
    );
  }

  #returned(run: HandlerRun, value: unknown): void {
    if (run.over || run.fatal) return this.#leave(run, run.fatal && failure(run.fatal, false));
    let text: Maybe<string>;
    try {
      const { resultSchema } = this.#options;
      text = resultSchema ? encodeValue(resultSchema, value) : toText(value, "the result");
    } catch (error) {
      return this.#leave(run, failure(error, false));
    }
    if (!isPromise(text)) return this.#leave(run, { result: text });
    text.then(
      (result) => this.#leave(run, { result }),
      (error: unknown) => this.#leave(run, failure(error, false)),
    );
  }

  #threw(run: HandlerRun, thrown: unknown): void {
    const failed = failure(run.fatal ?? thrown, !run.fatal && !isNonRetryable(thrown));
    this.#leave(run, failed, thrown instanceof Error ? thrown : new Error(failed.error.message));
  }

  /** The handler has left. */
  #leave(run: HandlerRun, outcome: JobResult | undefined, cause?: Error): void {
    // Abandoned: its job was freed, its slot given away.
    if (!this.#present.delete(run)) return;
    this.#asleep.delete(run.runId);
    if (run.stopped) this.#release(run);
    else if (!run.over && outcome) {
      const { runId } = run;
      if (cause) run.end(cause);
      else run.over = LEFT;
      this.#tell(() => this.port.call("job.finish", { runId, outcome }));
    }
    this.#free(run);
    if (this.#present.size === 0) this.#onLeft?.();
  }

  #free(run: HandlerRun): void {
    if (this.#running.delete(run)) this.#fillSoon();
  }

  #release({ runId }: { runId: string }): void {
    this.#tell(() => this.port.call("job.release", { runIds: [runId] }));
  }

  /** A call whose answer nobody waits for. Tried again while that may help: else the hub waits for the lease to end. */
  #tell(call: () => Maybe<unknown>): void {
    try {
      const told = call();
      if (!isPromise(told)) return;
      const settling: Promise<void> = this.#insist(told, call).finally(() => this.#settling.delete(settling));
      this.#settling.add(settling);
    } catch {
      // Closed: what it held was freed with it.
    }
  }

  async #insist(told: Promise<unknown>, again: () => Maybe<unknown>): Promise<void> {
    for (let failures = 1; failures < 10; failures++) {
      try {
        await (failures === 1 ? told : again());
        return;
      } catch (error) {
        if (!(error instanceof TabloomError && error.retryable)) return;
        await sleep(expBackoff(failures));
      }
    }
  }
}

/** Why a handler that has left may do nothing any more, and why all must leave. */
const LEFT = /*#__PURE__*/ new TabloomError("CLOSED", "the handler has left");
const STOPPED = /*#__PURE__*/ new TabloomError("CLOSED", "the worker was stopped");

function failure(error: unknown, retry: boolean): Extract<JobResult, { retry: boolean }> {
  const message = error instanceof Error ? error.message : String(error);
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return { error: { message, ...(typeof code === "string" ? { code } : {}) }, retry };
}

function isNonRetryable(error: unknown): boolean {
  // By name, too: an app may have the package twice.
  return error instanceof NonRetryableError || (error as Error | undefined)?.name === "NonRetryableError";
}
