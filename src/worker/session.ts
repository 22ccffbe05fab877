import type { Outcome } from "../engine/call.js";
import type { Instance } from "../engine/instance.js";
import type { Space } from "../engine/space.js";
import type { Write } from "../engine/turn.js";
import type { OpenBody } from "../protocol/commands.js";
import { ValidationError } from "../protocol/errors.js";
import { type HubStatus, type ReplyFrame, SPACE_REF, type WireReply } from "../protocol/frames.js";
import { type Exchange, type HubCall, takesEffectOnce } from "./hub-call.js";
import { SessionRows, wireError } from "./session-rows.js";

type Opened = { ok: true; body: OpenBody; instance: Instance } | { ok: false; error: unknown };

/**
 * One tab at this hub, through all of its incarnations: its numbers for instances, the calls it may ask about again,
 * and how far its durable calls have run (docs/decisions/0001, invariant 3; 0012).
 */
export class Session {
  /** Of the tab, without its incarnation. */
  readonly name: string;
  /** The tab's id while it is in touch; otherwise "": it sleeps, is dead, or is known from the journal only. */
  id = "";
  /** The last one that said hello to this hub. */
  incarnation = 0;
  /** It came back when nothing was known of its earlier incarnations any more. */
  forgotten = false;
  /** Of the hub's own thread. */
  own = false;
  readonly rows: SessionRows;
  listening = new Set<string>();
  /** The lowest sequence that the tab still waits for. */
  #below = 0;
  /** Lower ones that it waits for all the same. */
  #waiting: ReadonlySet<number> = new Set();
  /** What this tab asked for, from there on. */
  readonly #calls = new Map<number, HubCall>();
  /** What came of calls of earlier incarnations, of which the tab may not know. */
  readonly #kept = new Map<number, WireReply>();
  readonly #opened = new Map<number, Opened>();
  #late: WireReply[] = [];
  #pull: ((text: string) => void) | undefined;
  #status: HubStatus | undefined;

  constructor(name: string) {
    this.name = name;
    this.rows = new SessionRows(name);
  }

  get present(): boolean {
    return this.id !== "";
  }

  /** What it costs to remember it. */
  get replies(): number {
    return this.#calls.size + this.#kept.size + this.rows.size;
  }

  arrive(id: string, incarnation: number, own: boolean): void {
    this.id = id;
    this.incarnation = incarnation;
    this.own = own;
  }

  /**
   * The tab sleeps, or died. Of what its next incarnation may ask again, calls that have an effect once keep their
   * outcome, also one that is still on its way to disk; the others run anew, for what they gave was released.
   */
  leave(): void {
    this.id = "";
    for (const call of this.#calls.values()) {
      if (!takesEffectOnce(call)) this.#calls.delete(call.seq);
      else if (call.reply) this.#keep(call);
    }
    this.#opened.clear();
    this.#late = [];
    this.#pull = undefined;
    this.#status = undefined;
  }

  // --- Calls ------------------------------------------------------------------------------------------------------

  /** Forgets what the tab no longer waits for. */
  settleBelow(below: number, waiting: readonly number[]): void {
    const settled = below - this.#below;
    if (settled < 0) return;
    const waited = this.#waiting;
    this.#waiting = new Set(waiting);
    const forget = (seq: number): void => {
      if (this.#waiting.has(seq)) return;
      this.#calls.delete(seq);
      this.#kept.delete(seq);
    };
    waited.forEach(forget);
    if (settled === 0) return;
    if (settled > this.#calls.size) {
      for (const seq of [...this.#calls.keys()]) if (seq < below) forget(seq);
    } else {
      for (let seq = this.#below; seq < below; seq++) forget(seq);
    }
    for (const seq of this.#kept.keys()) if (seq < below) forget(seq);
    this.#below = below;
    this.rows.settleBelow(below);
  }

  /** A call that was received before: it is answered again, or when it settles. */
  repeat(seq: number, exchange: Exchange): boolean {
    const kept = this.#kept.get(seq);
    if (kept) exchange.replies.push(kept);
    const call = this.#calls.get(seq);
    // Below: settled long ago, a frame of an old connection.
    if (call === undefined) return kept !== undefined || (seq < this.#below && !this.#waiting.has(seq));
    call.exchange = exchange;
    call.owner = this.id;
    if (call.reply) exchange.replies.push(call.reply);
    return true;
  }

  takeRows(): Write[] {
    return this.rows.take(this.#below);
  }

  remember(call: HubCall): void {
    this.#calls.set(call.seq, call);
  }

  /** If it has no answer yet, it runs anew should the tab ask again. */
  forget(call: HubCall): void {
    if (!call.reply && this.#calls.get(call.seq) === call) this.#calls.delete(call.seq);
  }

  find(seq: number): HubCall | undefined {
    return this.#calls.get(seq);
  }

  parked(): HubCall[] {
    return [...this.#calls.values()].filter((call) => call.parkedIn !== undefined);
  }

  #keep(call: HubCall): void {
    if (this.#calls.get(call.seq) !== call) return;
    this.#calls.delete(call.seq);
    this.#kept.set(call.seq, call.reply!);
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
    this.rows.note(call, outcome, space);
    // Who asked is gone; the next incarnation asks again.
    if (call.owner !== this.id) this.#keep(call);
    else if (call.exchange.open) call.exchange.replies.push(call.reply);
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
    for (const { exchange } of this.#calls.values()) {
      if (!exchange.open) continue;
      exchange.open = false;
      exchange.resolve(text);
    }
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
