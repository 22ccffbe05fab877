import type { Call, Outcome } from "../engine/call.js";
import type { Instance } from "../engine/instance.js";
import type { Space } from "../engine/space.js";
import type { Write } from "../engine/turn.js";
import type { OpenBody } from "../protocol/commands.js";
import { commandTraits } from "../protocol/commands.js";
import { type WireError, ValidationError, toWire } from "../protocol/errors.js";
import { type HubStatus, type ReplyFrame, SPACE_REF, type WireReply } from "../protocol/frames.js";
import type { Json } from "../protocol/json.js";

/** A frame that was received, and the answers it gets back as the result of its own Comlink call. */
export interface Exchange {
  open: boolean;
  readonly replies: WireReply[];
  resolve(text: string): void;
}

export interface HubCall extends Call {
  readonly session: Session;
  exchange: Exchange;
  reply: WireReply | undefined;
  /** Its outcome is among those that the next commit keeps. */
  noted: boolean;
}

type Opened = { ok: true; body: OpenBody; instance: Instance } | { ok: false; error: unknown };

/** What a call that ran in an earlier hub left behind. */
type StoredReply = { value: Json } | { error: WireError };

/** Rows of sessions belong to instance 0: `0s<tab>` the watermark, `0r<tab>#<seq>` a reply that cannot be recalled. */
const APPLIED = "0s";
const REPLY = "0r";

/**
 * One tab at this hub: its numbers for instances, the calls it may ask about again, and how far its durable calls
 * have run (docs/decisions/0001, invariant 3).
 */
export class Session {
  readonly tab: string;
  /** It said hello to this hub; otherwise it is known from the journal only. */
  present = false;
  /** Of the hub's own thread. */
  own = false;
  listening = new Set<string>();
  /** The lowest sequence that the tab still waits for. */
  #below = 0;
  /** Lower ones that it waits for all the same. */
  #waiting: ReadonlySet<number> = new Set();
  /** What this tab asked for, from there on. */
  readonly #calls = new Map<number, HubCall>();
  readonly #opened = new Map<number, Opened>();
  readonly #late: WireReply[] = [];
  #pull: ((text: string) => void) | undefined;
  #status: HubStatus | undefined;

  /** Durable calls up to here ran: in earlier hubs, on disk, now. */
  #inherited = 0;
  #journaled = 0;
  /** On disk; also of a watermark that nothing raised yet, beside a stored refusal. */
  #hasRow = false;
  #applied = 0;
  /** Replies that cannot be recalled: on disk, and since the last append. */
  readonly #stored = new Map<number, StoredReply>();
  #unusual = new Map<number, StoredReply>();
  /** What the append in flight makes durable. */
  #taken: { applied: number; unusual: Map<number, StoredReply>; forgotten: number[] } | undefined;

  constructor(tab: string) {
    this.tab = tab;
  }

  // --- Calls ------------------------------------------------------------------------------------------------------

  /** Forgets what the tab no longer waits for. */
  settleBelow(below: number, waiting: readonly number[]): void {
    const settled = below - this.#below;
    if (settled < 0) return;
    const waited = this.#waiting;
    this.#waiting = new Set(waiting);
    const forget = (seq: number): void => {
      if (!this.#waiting.has(seq)) this.#calls.delete(seq);
    };
    waited.forEach(forget);
    if (settled === 0) return;
    if (settled > this.#calls.size) {
      for (const seq of [...this.#calls.keys()]) if (seq < below) forget(seq);
    } else {
      for (let seq = this.#below; seq < below; seq++) forget(seq);
    }
    this.#below = below;
    for (const seq of this.#unusual.keys()) if (seq < below) this.#unusual.delete(seq);
  }

  /** A call that was received before: it is answered again, or when it settles. */
  repeat(seq: number, exchange: Exchange): boolean {
    const call = this.#calls.get(seq);
    // Below: settled long ago, a frame of an old connection.
    if (call === undefined) return seq < this.#below && !this.#waiting.has(seq);
    call.exchange = exchange;
    if (call.reply) exchange.replies.push(call.reply);
    return true;
  }

  remember(call: HubCall): void {
    this.#calls.set(call.seq, call);
  }

  find(seq: number): HubCall | undefined {
    return this.#calls.get(seq);
  }

  parked(): HubCall[] {
    return [...this.#calls.values()].filter((call) => call.parkedIn !== undefined);
  }

  /** The outcome of a durable call that an earlier hub ran; undefined when it did not run. */
  recall(call: HubCall, space: Space): Outcome | undefined {
    if (commandTraits[call.op].resend !== "once" || call.instance.durability === "memory") return undefined;
    // A refusal may be stored above the watermark: it had no effect that would have raised it.
    const stored = this.#stored.get(call.seq);
    if (stored === undefined) {
      return call.seq > this.#inherited ? undefined : { ok: true, value: space.recall(call) };
    }
    return "error" in stored ? { ok: false, error: stored.error } : { ok: true, value: stored.value };
  }

  // --- Instances --------------------------------------------------------------------------------------------------

  open(ref: number, body: OpenBody, space: Space, now: number): Instance {
    try {
      const instance = space.open(body, now);
      this.#opened.set(ref, { ok: true, body, instance });
      return instance;
    } catch (error) {
      this.#opened.set(ref, { ok: false, error });
      throw error;
    }
  }

  /** Calls under this number are refused as well, until the tab opens it again. */
  refuseOpen(ref: number, error: Error): Error {
    this.#opened.set(ref, { ok: false, error });
    return error;
  }

  /** The instance behind a tab's number, opened again if its creation was undone. */
  instance(ref: number, space: Space, now: number): Instance {
    if (ref === SPACE_REF) return space.root;
    const opened = this.#opened.get(ref);
    if (opened === undefined) throw new ValidationError(`instance ${ref} was not opened`);
    if (!opened.ok) throw opened.error;
    return opened.instance.gone ? this.open(ref, opened.body, space, now) : opened.instance;
  }

  // --- Answers ----------------------------------------------------------------------------------------------------

  /** Takes a settled call's outcome; it goes out with the next `flush`. */
  answer(call: HubCall, outcome: Outcome, space: Space): void {
    call.reply = outcome.ok ? [call.seq, outcome.value] : [call.seq, null, wireError(outcome.error)];
    this.note(call, outcome, space);
    if (call.exchange.open) call.exchange.replies.push(call.reply);
    else this.#late.push(call.reply);
  }

  tell(status: HubStatus): void {
    this.#status = status;
  }

  /** Sends what is ready. */
  flush(exchange: Exchange | undefined, epoch: string): void {
    if (exchange && exchange.open && exchange.replies.length > 0) {
      exchange.open = false;
      exchange.resolve(this.#frame(epoch, exchange.replies));
    }
    if ((this.#late.length > 0 || this.#status) && this.#pull) {
      const resolve = this.#pull;
      this.#pull = undefined;
      resolve(this.#frame(epoch, this.#late.splice(0)));
    }
  }

  /** Answers an exchange that waits for nothing. */
  close(exchange: Exchange, epoch: string): void {
    if (!exchange.open) return;
    exchange.open = false;
    exchange.resolve(this.#frame(epoch, exchange.replies));
  }

  pull(epoch: string): Promise<string> {
    // A second pull is a tab that connected again; the first one's port is gone.
    return new Promise((resolve) => {
      this.#pull = resolve;
      this.flush(undefined, epoch);
    });
  }

  /** Tells the tab to say hello again. */
  reset(epoch: string): void {
    const text = JSON.stringify({ epoch, replies: [], reset: true } satisfies ReplyFrame);
    this.#pull?.(text);
    for (const { exchange } of this.#calls.values()) if (exchange.open) exchange.resolve(text);
  }

  // --- Rows -------------------------------------------------------------------------------------------------------

  /**
   * Notes the outcome of a durable call, for the commit of its effect. Also of one that had none: once the watermark
   * is above it, only a stored reply tells that it was refused.
   */
  note(call: HubCall, outcome: Outcome, space: Space): void {
    if (call.noted || commandTraits[call.op].resend !== "once" || call.instance.durability === "memory") return;
    call.noted = true;
    if (outcome.ok && call.seq > this.#applied) this.#applied = call.seq;
    if (!outcome.ok) this.#unusual.set(call.seq, { error: wireError(outcome.error) });
    else if (space.isUsual(call, outcome.value)) this.#unusual.delete(call.seq);
    else this.#unusual.set(call.seq, { value: outcome.value as Json });
  }

  /** The rows that make re-sent calls have one effect, for the commit of what they did. */
  takeRows(): Write[] {
    if (this.#applied === this.#journaled && this.#unusual.size === 0) return [];
    const lowest = this.#below;
    const unusual = new Map([...this.#unusual].filter(([seq]) => seq >= lowest));
    const forgotten = [...this.#stored.keys()].filter((seq) => seq < lowest);
    this.#taken = { applied: this.#applied, unusual, forgotten };
    this.#unusual = new Map();
    return [
      { key: APPLIED + this.tab, value: this.#applied, fresh: !this.#hasRow },
      ...forgotten.map((seq) => ({ key: replyKey(this.tab, seq), value: undefined, fresh: false })),
      ...[...unusual].map(([seq, stored]) => ({
        key: replyKey(this.tab, seq),
        value: stored as unknown as Json,
        fresh: !this.#stored.has(seq),
      })),
    ];
  }

  /** The append that took the rows is done, one way or the other. */
  rowsSettled(committed: boolean): void {
    if (this.#taken === undefined) return;
    const { applied, unusual, forgotten } = this.#taken;
    this.#taken = undefined;
    if (committed) {
      this.#journaled = applied;
      this.#hasRow = true;
      for (const seq of forgotten) this.#stored.delete(seq);
      for (const [seq, stored] of unusual) this.#stored.set(seq, stored);
    } else {
      this.#applied = this.#journaled;
      this.#unusual = new Map([...unusual, ...this.#unusual]);
    }
  }

  /** The rows that remove a session for good. */
  removalRows(): Write[] {
    const underWay = this.#taken?.unusual ?? new Map<number, StoredReply>();
    if (!this.#hasRow && this.#taken === undefined) return [];
    const seqs = new Set([...this.#stored.keys(), ...underWay.keys()]);
    const keys = [APPLIED + this.tab, ...[...seqs].map((seq) => replyKey(this.tab, seq))];
    return keys.map((key) => ({ key, value: undefined, fresh: false }));
  }

  restoreRow(seq: number | undefined, value: Json): void {
    this.#hasRow = true;
    if (seq === undefined) this.#applied = this.#journaled = this.#inherited = value as number;
    else this.#stored.set(seq, value as unknown as StoredReply);
  }

  #frame(epoch: string, replies: WireReply[]): string {
    const frame: ReplyFrame = { epoch, replies };
    if (this.#status) {
      frame.status = this.#status;
      this.#status = undefined;
    }
    return JSON.stringify(frame);
  }
}

/** The session that a row belongs to. */
export function parseSessionRow(key: string): { tab: string; seq?: number } | undefined {
  if (key.startsWith(APPLIED)) return { tab: key.slice(APPLIED.length) };
  if (!key.startsWith(REPLY)) return undefined;
  const hash = key.lastIndexOf("#");
  return { tab: key.slice(REPLY.length, hash), seq: Number(key.slice(hash + 1)) };
}

function replyKey(tab: string, seq: number): string {
  return `${REPLY}${tab}#${seq}`;
}

/** Errors that come from a stored reply are wire errors already. */
function wireError(error: unknown): WireError {
  return error instanceof Error ? toWire(error) : (error as WireError);
}

/** Whether the effect of this call, had it run at a hub whose memory is gone, would be unknown. */
export function leavesNoTrace({ op, instance }: HubCall): boolean {
  return commandTraits[op].resend === "once" && instance.durability === "memory";
}
