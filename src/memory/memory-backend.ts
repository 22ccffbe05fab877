import type {
  Backend,
  BackendStatus,
  CallOptions,
  FeedListener,
  InstanceSpec,
  Maybe,
  Port,
} from "../client/backend.js";
import { randomText } from "../protocol/ids.js";
import { setLongTimeout } from "../client/signals.js";
import type { Call, Outcome } from "../engine/call.js";
import type { Instance } from "../engine/instance.js";
import { Space } from "../engine/space.js";
import { traceOf } from "../engine/trace.js";
import type { Body, CommandName, Kind, Reply } from "../protocol/commands.js";
import { AbortError, TabloomError, closedError } from "../protocol/errors.js";

export interface MemoryOptions {
  /** Lets `advanceClock` move this backend's clock. Tests only. */
  testClock?: boolean;
}

interface MemoryCall extends Call {
  outcome: Outcome | undefined;
  answer: ((outcome: Outcome) => void) | undefined;
}

/** The engine in this thread: nothing survives, nothing is shared, every call takes effect at once. */
export function createMemoryBackend(options: MemoryOptions = {}): Backend {
  return new MemoryBackend(options);
}

class MemoryBackend implements Backend {
  readonly status: BackendStatus;
  readonly #space = new Space({ durable: false });
  readonly #owner = randomText(8);
  readonly #parked = new Set<MemoryCall>();
  readonly #listeners = new Map<string, Set<FeedListener>>();
  readonly #statusListeners = new Set<(status: BackendStatus) => void>();
  readonly #testClock: boolean;
  #offset = 0;
  #seq = 0;
  #alarmAt = Infinity;
  #stopAlarm: (() => void) | undefined;

  constructor({ testClock = false }: MemoryOptions) {
    this.#testClock = testClock;
    this.status = {
      mode: "memory",
      state: "ready",
      epoch: randomText(16),
      connected: true,
      tabId: this.#owner,
      durable: false,
      tabs: 1,
      version: __VERSION__,
    };
  }

  onStatus(listener: (status: BackendStatus) => void): () => void {
    this.#statusListeners.add(listener);
    return () => this.#statusListeners.delete(listener);
  }

  port<K extends Kind>(spec: InstanceSpec<K>): Port {
    let instance: Instance | undefined;
    const open = (): Instance =>
      (instance ??= this.#space.open({ ...spec, durability: "memory", seed: randomText(8) }, this.#now()));
    return {
      call: (op, body, options) => this.#call(open(), op, body, options),
      listen: (listener) => this.#listen(open().key, listener),
      // This memory is the only one there will be.
      reassert: () => () => {},
    };
  }

  get root(): Port {
    return {
      call: (op, body, options) => this.#call(this.#space.root, op, body, options),
      listen: (listener) => this.#listen("", listener),
      reassert: () => () => {},
    };
  }

  close(): Promise<void> {
    if (this.status.state === "closed") return Promise.resolve();
    this.status.state = "closed";
    this.#stopAlarm?.();
    for (const call of this.#parked) this.#space.cancel(call, this.#now(), true);
    this.#drain();
    this.#space.release({ owner: this.#owner, died: false }, this.#now());
    this.#drain();
    for (const listener of this.#statusListeners) listener(this.status);
    return Promise.resolve();
  }

  advanceClock(ms: number): Promise<void> {
    if (!this.#testClock) throw new TabloomError("UNAVAILABLE", "this backend was not made with testClock");
    this.#offset += ms;
    this.#wake();
    return Promise.resolve();
  }

  #now(): number {
    return Date.now() + this.#offset;
  }

  #call<Op extends CommandName>(instance: Instance, op: Op, body: Body<Op>, options?: CallOptions): Maybe<Reply<Op>> {
    if (this.status.state === "closed") throw closedError("backend");
    if (options?.signal?.aborted) throw new AbortError(options.signal.reason);
    const now = this.#now();
    const waitMs = (body as { waitMs?: number }).waitMs ?? 0;
    const call: MemoryCall = {
      owner: this.#owner,
      seq: ++this.#seq,
      op,
      body,
      instance,
      arrival: 0,
      waitUntil: waitMs > 0 ? now + waitMs : 0,
      parkedIn: undefined,
      outcome: undefined,
      answer: undefined,
    };
    this.#space.run(call, now);
    this.#drain();
    if (call.outcome) return valueOf(call.outcome) as Reply<Op>;
    return this.#wait(call, options?.signal) as Promise<Reply<Op>>;
  }

  #wait(call: MemoryCall, signal: AbortSignal | undefined): Promise<unknown> {
    this.#parked.add(call);
    // From now on somebody waits for the alarm.
    if (this.#parked.size === 1) this.#disarm();
    this.#arm();
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        this.#parked.delete(call);
        this.#space.cancel(call, this.#now(), false);
        reject(new AbortError(signal!.reason));
      };
      call.answer = (outcome) => {
        this.#parked.delete(call);
        signal?.removeEventListener("abort", abort);
        if (outcome.ok) resolve(outcome.value);
        else reject(outcome.error as Error);
      };
      signal?.addEventListener("abort", abort, { once: true });
    });
  }

  #listen(key: string, listener: FeedListener): () => void {
    const listeners = this.#listeners.get(key) ?? new Set();
    this.#listeners.set(key, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#listeners.delete(key);
    };
  }

  /** Nothing to commit: what happened is told at once, answers before events. */
  #drain(): void {
    const { settled, announced } = this.#space;
    if (settled.length > 0) this.#space.settled = [];
    if (announced.length > 0) this.#space.announced = [];
    for (const { call, outcome } of settled) {
      const memoryCall = call as MemoryCall;
      memoryCall.outcome = outcome;
      memoryCall.answer?.(outcome);
    }
    const told = this.#listeners.has("") ? [...announced, ...traceOf(settled, announced, this.#now())] : announced;
    for (const { event } of told) {
      for (const listener of this.#listeners.get(event.instance) ?? []) listener.event(event.event, event.n);
    }
    this.#arm();
  }

  #arm(): void {
    const dueAt = this.#space.dueAt();
    if (dueAt >= this.#alarmAt || this.status.state === "closed") return;
    this.#disarm();
    this.#alarmAt = dueAt;
    const keepAlive = this.#parked.size > 0;
    this.#stopAlarm = setLongTimeout(() => this.#wake(), Math.max(0, dueAt - this.#now()), { keepAlive });
  }

  #disarm(): void {
    this.#stopAlarm?.();
    this.#alarmAt = Infinity;
  }

  #wake(): void {
    this.#disarm();
    this.#space.wake(this.#now());
    this.#drain();
  }
}

function valueOf(outcome: Outcome): unknown {
  if (outcome.ok) return outcome.value;
  throw outcome.error;
}
