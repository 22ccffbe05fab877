import type { Body, CommandName } from "../protocol/commands.js";
import { AbortError, TabloomError, fromWire } from "../protocol/errors.js";
import type { CallFrame, WireCall, WireReply } from "../protocol/frames.js";
import type { CallOptions } from "./backend.js";
import { setLongTimeout } from "./signals.js";

/** How long an answer may take; waiting calls get this on top of their wait. */
const DEADLINE_MS = 30_000;
/** Calls in flight at most; the hub keeps as many finished replies for this tab. */
const MAX_IN_FLIGHT = 20_000;
/** Waiting calls that each frame names; with more, the hub keeps replies from the next one on. */
const MAX_WAITING_TOLD = 100;
/** Longer batches leave as several frames, so that the hub works on one while this tab reads the answers of another. */
const MAX_FRAME_CALLS = 500;
/** A timer that rings so much too late rings in a tab that slept: what was answered meanwhile is about to arrive. */
const LATE_MS = 1000;
const GRACE_MS = 5000;

export interface PendingCall {
  readonly seq: number;
  readonly ref: number;
  readonly op: CommandName;
  readonly body: Body<CommandName>;
  readonly deadlineAt: number;
  /** For waiting calls: until when, of this tab's monotonic clock. */
  readonly waitUntil: number;
  readonly options: CallOptions | undefined;
  sent: boolean;
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
  /** The caller was told already; the reply, if one comes, goes to `onLate`. */
  abandoned: boolean;
  stopListening: (() => void) | undefined;
}

export interface CallsOptions {
  send(frame: Omit<CallFrame, "kind" | "tab" | "epoch">): void;
  /** A call got no answer in time: the hub may be wedged. */
  onTimeout(): void;
  /** Why calls wait, as far as it is known. */
  problem?(): string | undefined;
}

export interface NewCall {
  ref: number;
  op: CommandName;
  body: Body<CommandName>;
  options?: CallOptions | undefined;
}

/**
 * The calls of this tab that have no answer yet. Calls of one microtask leave in one frame; after a hub's death all of
 * them are sent again, in their order.
 */
export class Calls {
  readonly #pending = new Map<number, PendingCall>();
  readonly #outgoing: PendingCall[] = [];
  /** Weak: a signal that nobody else holds takes its listener along. */
  readonly #bySignal = new WeakMap<AbortSignal, Set<PendingCall>>();
  #cancelled: number[] = [];
  #seq = 0;
  /** Calls up to here were sent to some hub; and up to there to one whose memory is gone. */
  #sentUpTo = 0;
  #lostUpTo = 0;
  /** Calls that tell a new hub what it must know and have not left yet. */
  #untold = 0;
  #inFlight = 0;
  #scheduled = false;
  #paused = true;
  #stopTimer: (() => void) | undefined;
  #timerAt = Infinity;
  readonly #options: CallsOptions;

  constructor(options: CallsOptions) {
    this.#options = options;
  }

  add(call: NewCall): Promise<unknown> {
    const { ref, op, body, options } = call;
    const signal = options?.signal;
    if (signal?.aborted) return Promise.reject(new AbortError(signal.reason));
    return new Promise((resolve, reject) => {
      const now = performance.now();
      const waitMs = (body as { waitMs?: number }).waitMs ?? 0;
      const pending: PendingCall = {
        ref,
        op,
        body,
        options,
        seq: ++this.#seq,
        deadlineAt: now + waitMs + DEADLINE_MS,
        waitUntil: now + waitMs,
        sent: false,
        resolve,
        reject,
        abandoned: false,
        stopListening: undefined,
      };
      this.#pending.set(pending.seq, pending);
      this.#outgoing.push(pending);
      if (signal) this.#watchSignal(signal, pending);
      if (this.#outgoing.length >= MAX_FRAME_CALLS && !this.#paused) this.#flush();
      else this.#schedule();
      this.#arm(pending.deadlineAt);
    });
  }

  /** Calls that share a signal share one listener: a loop of `recv` would spend its time adding and removing them. */
  #watchSignal(signal: AbortSignal, pending: PendingCall): void {
    let calls = this.#bySignal.get(signal);
    if (calls === undefined) {
      const watching = (calls = new Set<PendingCall>());
      this.#bySignal.set(signal, watching);
      const abort = (): void => {
        for (const call of [...watching]) this.#abandon(call, new AbortError(signal.reason));
      };
      signal.addEventListener("abort", abort, { once: true });
    }
    calls.add(pending);
    pending.stopListening = () => calls.delete(pending);
  }

  settle(replies: WireReply[]): void {
    for (const [seq, value, error] of replies) {
      const pending = this.#pending.get(seq);
      if (pending === undefined) continue;
      this.#remove(pending);
      if (pending.abandoned) {
        if (!error) pending.options?.onLate?.(value as never);
      } else if (error) pending.reject(fromWire(error));
      else pending.resolve(value);
    }
    if (this.#outgoing.length > 0) this.#schedule();
  }

  /** No hub to send to: calls wait. */
  pause(): void {
    this.#paused = true;
  }

  /**
   * A hub answers again. Everything unanswered is sent again before anything new; `addFirst` adds the calls
   * that must come before (opening instances). When the hub's memory is another, it is told which calls its predecessor
   * may have run: it rejects those that changed memory-only state, for nobody knows any more.
   */
  resume(addFirst: () => void, memoryLost: boolean): void {
    this.#outgoing.length = 0;
    this.#cancelled = [];
    if (memoryLost) this.#lostUpTo = this.#sentUpTo;
    const again = [...this.#pending.values()];
    addFirst();
    this.#untold = this.#outgoing.length;
    for (const pending of again) {
      // A claim that was given up may have been granted: asked again without waiting, it is found and handed back.
      if (pending.abandoned && !pending.options?.onLate) this.#remove(pending);
      else {
        pending.sent = false;
        this.#outgoing.push(pending);
      }
    }
    this.#inFlight = 0;
    this.#paused = false;
    // Also with nothing to send: the hub waits for every tab's first frame to know what is held.
    if (this.#outgoing.length === 0) this.#sendFrame([]);
    else this.#flush();
  }

  /** Ends everything: who waits for something to come is told that nothing does, the others why. */
  close(error: Error): void {
    this.#stopTimer?.();
    this.#outgoing.length = 0;
    for (const pending of [...this.#pending.values()]) {
      this.#remove(pending);
      const waits = (pending.body as { waitMs?: number }).waitMs !== undefined;
      if (!pending.abandoned) pending.reject(waits ? new AbortError(error) : error);
    }
  }

  #schedule(): void {
    if (this.#scheduled || this.#paused) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      if (!this.#paused) this.#flush();
    });
  }

  #flush(): void {
    do {
      const room = Math.min(MAX_IN_FLIGHT - this.#inFlight, MAX_FRAME_CALLS);
      const batch = this.#outgoing.length <= room ? this.#outgoing.splice(0) : this.#outgoing.splice(0, room);
      if (batch.length === 0 && this.#cancelled.length === 0) return;
      this.#inFlight += batch.length;
      this.#sendFrame(batch);
    } while (this.#outgoing.length > 0);
  }

  #sendFrame(batch: PendingCall[]): void {
    const calls = batch.map((pending): WireCall => {
      pending.sent = true;
      return [pending.seq, pending.ref, pending.op, currentBody(pending)];
    });
    const { below, waiting } = this.#unsettled();
    const cancel = this.#cancelled;
    this.#cancelled = [];
    this.#untold = Math.max(0, this.#untold - batch.length);
    this.#sentUpTo = Math.max(this.#sentUpTo, batch.at(-1)?.seq ?? 0);
    this.#options.send({
      below,
      ...(waiting.length > 0 ? { waiting } : {}),
      calls,
      ...(cancel.length > 0 ? { cancel } : {}),
      ...(this.#untold > 0 ? { untold: true } : {}),
      ...(below <= this.#lostUpTo ? { lost: this.#lostUpTo } : {}),
    });
  }

  /** From where on the hub keeps replies, and calls below that wait. */
  #unsettled(): { below: number; waiting: number[] } {
    const waiting: number[] = [];
    for (const { seq, body } of this.#pending.values()) {
      const waits = (body as { waitMs?: number }).waitMs;
      if (!waits || waiting.length === MAX_WAITING_TOLD) return { below: seq, waiting };
      waiting.push(seq);
    }
    return { below: this.#seq + 1, waiting };
  }

  #abandon(pending: PendingCall, error: Error): void {
    if (pending.abandoned || !this.#pending.has(pending.seq)) return;
    pending.abandoned = true;
    pending.stopListening?.();
    pending.reject(error);
    if (pending.sent) {
      this.#cancelled.push(pending.seq);
      this.#schedule();
    } else {
      this.#outgoing.splice(this.#outgoing.indexOf(pending), 1);
      this.#pending.delete(pending.seq);
    }
  }

  #remove(pending: PendingCall): void {
    this.#pending.delete(pending.seq);
    pending.stopListening?.();
    if (pending.sent) this.#inFlight--;
    if (this.#pending.size === 0) {
      // An idle tab has no timers.
      this.#stopTimer?.();
      this.#timerAt = Infinity;
    }
  }

  /** One timer for the earliest deadline. It may ring for a call that is answered: then it looks for the next. */
  #arm(deadlineAt: number): void {
    if (deadlineAt >= this.#timerAt) return;
    this.#stopTimer?.();
    this.#timerAt = deadlineAt;
    this.#stopTimer = setLongTimeout(() => this.#expire(), Math.max(0, deadlineAt - performance.now()));
  }

  #expire(): void {
    const now = performance.now();
    const late = now - this.#timerAt > LATE_MS;
    this.#timerAt = Infinity;
    if (late) return this.#arm(now + GRACE_MS);
    const problem = this.#options.problem?.();
    let next = Infinity;
    for (const pending of [...this.#pending.values()]) {
      if (pending.abandoned) continue;
      if (pending.deadlineAt > now) next = Math.min(next, pending.deadlineAt);
      else
        this.#abandon(
          pending,
          new TabloomError("TIMEOUT", `no answer to ${pending.op} in time${problem ? `: ${problem}` : ""}`),
        );
    }
    this.#options.onTimeout();
    if (next < Infinity) this.#arm(next);
  }
}

/** A waiting call that is sent again waits for what is left of its time. */
function currentBody({ body, waitUntil, abandoned }: PendingCall): Body<CommandName> {
  const { waitMs } = body as { waitMs?: number };
  if (!waitMs) return body;
  const left = abandoned ? 0 : Math.max(0, Math.round(waitUntil - performance.now()));
  return left < waitMs ? ({ ...body, waitMs: left } as Body<CommandName>) : body;
}
