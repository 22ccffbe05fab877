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
import { isolated } from "../client/isolated.js";
import { onAbort, setLongTimeout } from "../client/signals.js";
import type { Store } from "../client/store.js";
import type { Call, Outcome } from "../engine/call.js";
import type { Instance } from "../engine/instance.js";
import { Space } from "../engine/space.js";
import { traceOf } from "../engine/trace.js";
import type { Body, CommandName, Kind, Reply } from "../protocol/commands.js";
import { AbortError, TabloomError, closedError } from "../protocol/errors.js";
import { instanceKey } from "../protocol/names.js";
import { StoreHost } from "./store-host.js";

export interface MemoryOptions {
  /** Keeps the state, and gives it back to whoever opens the store next. Default: nothing survives. */
  store?: Store;
  /** Lets `advanceClock` move this backend's clock. Tests only. */
  testClock?: boolean;
}

interface MemoryCall extends Call {
  outcome: Outcome | undefined;
  answer: ((outcome: Outcome) => void) | undefined;
}

/** One engine per store: two would write over each other. */
const backends = new WeakMap<Store, MemoryBackend>();

/** The engine in this thread: every call takes effect at once. What is open over the same store is the same backend. */
export function createMemoryBackend({ store, testClock }: MemoryOptions = {}): Backend {
  const open = store && backends.get(store);
  const backend = open && open.status.state !== "closed" ? open : new MemoryBackend(store);
  if (store) backends.set(store, backend);
  if (testClock) backend.testClock = true;
  return backend;
}

class MemoryBackend implements Backend {
  readonly status: BackendStatus;
  testClock = false;
  readonly #space: Space;
  /** What makes it last; undefined: nothing does. */
  readonly #host: StoreHost | undefined;
  readonly #owner = randomText(8);
  readonly #parked = new Set<MemoryCall>();
  readonly #listeners = new Map<string, Set<FeedListener>>();
  readonly #statusListeners = new Set<(status: BackendStatus) => void>();
  #offset = 0;
  #seq = 0;
  #alarmAt = Infinity;
  #stopAlarm: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  constructor(store: Store | undefined) {
    const space = new Space({ durable: store !== undefined });
    this.#space = space;
    this.#host =
      store &&
      new StoreHost({
        store,
        space,
        now: () => this.#now(),
        parked: this.#parked,
        onOpen: (opened) => this.#opened(opened),
      });
    this.status = {
      mode: "memory",
      state: store ? "connecting" : "ready",
      epoch: randomText(16),
      connected: !store,
      tabId: this.#owner,
      durable: store !== undefined,
      tabs: 1,
      version: __VERSION__,
      upgradeRequired: false,
    };
  }

  onStatus(listener: (status: BackendStatus) => void): () => void {
    this.#statusListeners.add(listener);
    return () => this.#statusListeners.delete(listener);
  }

  port<K extends Kind>(spec: InstanceSpec<K>): Port {
    let instance: Instance | undefined;
    // Gone: its creation was undone.
    const open = (): Instance =>
      instance && !instance.gone
        ? instance
        : (instance = this.#space.open({ ...spec, seed: randomText(8) }, this.#now()));
    return this.#port(instanceKey(spec.name), open);
  }

  get root(): Port {
    return this.#port("", () => this.#space.root);
  }

  #port(key: string, open: () => Instance): Port {
    const host = this.#host;
    return {
      call: (op, body, options) =>
        host ? host.whenOpen(() => this.#call(open, op, body, options)) : this.#call(open, op, body, options),
      listen: (listener) => this.#listen(key, listener),
      // This memory is the only one there will be.
      reassert: () => () => {},
    };
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    this.status.state = "closed";
    this.#disarm();
    for (const call of this.#parked) this.#space.cancel(call, this.#now(), true);
    this.#settle();
    this.#space.release({ owner: this.#owner, died: false }, this.#now());
    this.#settle();
    this.#tellStatus();
    await this.#host?.close();
  }

  async advanceClock(ms: number): Promise<void> {
    if (!this.testClock) throw new TabloomError("UNAVAILABLE", "this backend was not made with testClock");
    this.#offset += ms;
    await (this.#host ? this.#host.whenOpen(() => this.#wake()) : this.#wake());
  }

  #opened(opened: boolean): void {
    this.status.connected = opened;
    this.status.state = opened ? "ready" : "failed";
    this.#arm();
    this.#tellStatus();
  }

  #tellStatus(): void {
    for (const listener of this.#statusListeners) isolated(() => listener(this.status));
  }

  #now(): number {
    return Date.now() + this.#offset;
  }

  #call<Op extends CommandName>(
    open: () => Instance,
    op: Op,
    body: Body<Op>,
    options: CallOptions | undefined,
  ): Maybe<Reply<Op>> {
    if (this.status.state === "closed") throw closedError("backend");
    if (options?.signal?.aborted) throw new AbortError(options.signal.reason);
    const now = this.#now();
    const waitMs = (body as { waitMs?: number }).waitMs ?? 0;
    const call: MemoryCall = {
      owner: this.#owner,
      seq: ++this.#seq,
      op,
      body,
      instance: open(),
      arrival: 0,
      waitUntil: waitMs > 0 ? now + waitMs : 0,
      parkedIn: undefined,
      outcome: undefined,
      answer: undefined,
    };
    this.#space.run(call, now);
    if (call.parkedIn !== undefined) this.#parked.add(call);
    this.#settle();
    if (call.outcome) return valueOf(call.outcome) as Reply<Op>;
    return this.#wait(call, options?.signal) as Promise<Reply<Op>>;
  }

  #wait(call: MemoryCall, signal: AbortSignal | undefined): Promise<unknown> {
    // From now on somebody waits for the alarm.
    if (this.#parked.size === 1) this.#disarm();
    this.#arm();
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        this.#parked.delete(call);
        this.#space.cancel(call, this.#now(), false);
        // Who waited behind it may have been served.
        this.#settle();
        reject(new AbortError(signal!.reason));
      };
      call.answer = (outcome) => {
        release?.();
        if (outcome.ok) resolve(outcome.value);
        else reject(outcome.error as Error);
      };
      const release = signal && onAbort(signal, abort);
    });
  }

  #listen(key: string, listener: FeedListener): () => void {
    const listeners = this.#listeners.get(key) ?? new Set();
    this.#listeners.set(key, listeners.add(listener));
    return () => {
      // Only once: others may listen by now.
      if (listeners.delete(listener) && listeners.size === 0) this.#listeners.delete(key);
    };
  }

  /** After the space moved: what happened is written and then told, answers before events. */
  #settle(): void {
    this.#host?.commit();
    const { settled, announced } = this.#space;
    if (settled.length > 0) this.#space.settled = [];
    if (announced.length > 0) this.#space.announced = [];
    for (const { call, outcome } of settled) {
      const memoryCall = call as MemoryCall;
      memoryCall.outcome = outcome;
      this.#parked.delete(memoryCall);
      memoryCall.answer?.(outcome);
    }
    const told = this.#listeners.has("") ? [...announced, ...traceOf(settled, announced, this.#now())] : announced;
    for (const { event } of told) {
      for (const listener of this.#listeners.get(event.instance) ?? []) listener.event(event.event, event.n);
    }
    this.#arm();
  }

  #arm(): void {
    const dueAt = (this.#host ?? this.#space).dueAt();
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
    if (this.#host) this.#host.wake();
    else this.#space.wake(this.#now());
    this.#settle();
  }
}

function valueOf(outcome: Outcome): unknown {
  if (outcome.ok) return outcome.value;
  throw outcome.error;
}
