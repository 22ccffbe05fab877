import type { Outcome } from "../engine/call.js";
import type { Space } from "../engine/space.js";
import type { Write } from "../engine/turn.js";
import { type WireError, toWire } from "../protocol/errors.js";
import type { Json } from "../protocol/json.js";
import { type HubCall, takesEffectOnce } from "./hub-call.js";

/** What a call that ran in an earlier hub left behind. */
type StoredReply = { value: Json } | { error: WireError };

/** Rows of sessions belong to instance 0: `0s<tab>` the watermark, `0r<tab>#<seq>` a reply that cannot be recalled. */
const APPLIED = "0s";
const REPLY = "0r";

/** How far a tab's durable calls have run, and the replies that nothing else tells: on disk, in the commits' records. */
export class SessionRows {
  readonly #tab: string;
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
    this.#tab = tab;
  }

  /** Replies that it holds. */
  get size(): number {
    return this.#stored.size;
  }

  /** The outcome of a durable call that an earlier hub ran; undefined when it did not run. */
  recall(call: HubCall, space: Space): Outcome | undefined {
    if (!takesEffectOnce(call) || call.instance.durability === "memory") return undefined;
    // A refusal may be stored above the watermark: it had no effect that would have raised it.
    const stored = this.#stored.get(call.seq);
    if (stored === undefined) {
      return call.seq > this.#inherited ? undefined : { ok: true, value: space.recall(call) };
    }
    return "error" in stored ? { ok: false, error: stored.error } : { ok: true, value: stored.value };
  }

  /**
   * Notes the outcome of a durable call, for the commit of its effect. Also of one that had none: once the watermark
   * is above it, only a stored reply tells that it was refused.
   */
  note(call: HubCall, outcome: Outcome, space: Space): void {
    if (call.noted || !takesEffectOnce(call) || call.instance.durability === "memory") return;
    call.noted = true;
    if (outcome.ok && call.seq > this.#applied) this.#applied = call.seq;
    if (!outcome.ok) this.#unusual.set(call.seq, { error: wireError(outcome.error) });
    else if (space.isUsual(call, outcome.value)) this.#unusual.delete(call.seq);
    else this.#unusual.set(call.seq, { value: outcome.value as Json });
  }

  settleBelow(below: number): void {
    for (const seq of this.#unusual.keys()) if (seq < below) this.#unusual.delete(seq);
  }

  /** The rows that make re-sent calls have one effect, for the commit of what they did. */
  take(below: number): Write[] {
    if (this.#applied === this.#journaled && this.#unusual.size === 0) return [];
    const unusual = new Map([...this.#unusual].filter(([seq]) => seq >= below));
    const forgotten = [...this.#stored.keys()].filter((seq) => seq < below);
    this.#taken = { applied: this.#applied, unusual, forgotten };
    this.#unusual = new Map();
    return [
      { key: APPLIED + this.#tab, value: this.#applied, fresh: !this.#hasRow },
      ...forgotten.map((seq) => ({ key: replyKey(this.#tab, seq), value: undefined, fresh: false })),
      ...[...unusual].map(([seq, stored]) => ({
        key: replyKey(this.#tab, seq),
        value: stored as unknown as Json,
        fresh: !this.#stored.has(seq),
      })),
    ];
  }

  /** The append that took them is done, one way or the other. */
  settled(committed: boolean): void {
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
  removal(): Write[] {
    const underWay = this.#taken?.unusual ?? new Map<number, StoredReply>();
    if (!this.#hasRow && this.#taken === undefined) return [];
    const seqs = new Set([...this.#stored.keys(), ...underWay.keys()]);
    const keys = [APPLIED + this.#tab, ...[...seqs].map((seq) => replyKey(this.#tab, seq))];
    return keys.map((key) => ({ key, value: undefined, fresh: false }));
  }

  restore(seq: number | undefined, value: Json): void {
    this.#hasRow = true;
    if (seq === undefined) this.#applied = this.#journaled = this.#inherited = value as number;
    else this.#stored.set(seq, value as unknown as StoredReply);
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
export function wireError(error: unknown): WireError {
  return error instanceof Error ? toWire(error) : (error as WireError);
}
