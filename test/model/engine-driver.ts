import type { Call, Outcome, Settled } from "../../src/engine/call.js";
import { fill, pageOf } from "../../src/engine/payloads.js";
import { Space } from "../../src/engine/space.js";
import type { Turn } from "../../src/engine/turn.js";
import type { Body, CommandName, OpenBody, QueueConfig, TopicConfig } from "../../src/protocol/commands.js";
import { toWire } from "../../src/protocol/errors.js";

export const START = 1_700_000_000_000;

/** What a command came to, comparable: errors as on the wire. "parked": nothing yet. */
export type Seen = { value: unknown } | { error: unknown } | "parked";

function seen(outcome: Outcome): Seen {
  if (outcome.ok) return { value: outcome.value };
  const { code, fields } = toWire(outcome.error);
  return { error: { code, ...(fields ? { fields } : {}) } };
}

/** A space with a clock, driven as a host would, without a journal. */
export class EngineDriver {
  space = new Space();
  now = START;
  /** Payloads on disk. */
  pages = new Map<number, readonly unknown[]>();
  #seq = 0;
  readonly #opened = new Map<string, OpenBody>();

  open(body: OpenBody): void {
    this.#opened.set(body.name.id, body);
  }

  run<Op extends CommandName>(id: string, op: Op, body: Body<Op>, { owner = "tab", waitMs = 0 } = {}): Call {
    const call: Call = {
      owner,
      seq: ++this.#seq,
      op,
      body,
      instance: this.space.open(this.#opened.get(id)!, this.now),
      arrival: 0,
      waitUntil: waitMs > 0 ? this.now + waitMs : 0,
      parkedIn: undefined,
    };
    this.space.run(call, this.now);
    return call;
  }

  /** Runs a command that does not wait; what it came to. */
  ask<Op extends CommandName>(id: string, op: Op, body: Body<Op>, owner?: string): Seen {
    const call = this.run(id, op, body, { ...(owner === undefined ? {} : { owner }) });
    const found = this.space.settled.findLast((settled) => settled.call === call);
    return found ? seen(this.#whole(found)) : "parked";
  }

  /** Takes the turn and does to the pages what its append would. */
  commit(): Turn {
    const turn = this.space.take();
    for (const [n, page] of turn.pages?.put ?? []) this.pages.set(n, structuredClone(page));
    for (const n of turn.pages?.drop ?? []) this.pages.delete(n);
    this.space.committed = turn.id;
    for (const one of this.space.settled) this.#whole(one);
    return turn;
  }

  /** Outcomes since the last call of this. */
  takeSettled(): { call: Call; seen: Seen }[] {
    const { settled } = this.space;
    this.space.settled = [];
    return settled.map(({ call, outcome }) => ({ call, seen: seen(outcome) }));
  }

  /** With the payloads that are on disk, as a host would before it answers. */
  #whole({ outcome, attachments = [] }: Settled): Outcome {
    for (const attachment of attachments) {
      const { ref, into } = attachment;
      if (into.data !== "" || fill(attachment, this.pages.get(pageOf(ref))) || attachment.isGone()) continue;
      throw new Error(`nothing on disk for ${JSON.stringify(into)}`);
    }
    return outcome;
  }

  /** Lets time pass as a host with exact alarms would. */
  advance(ms: number, onWake: () => unknown = () => {}): void {
    const target = this.now + ms;
    for (let due; (due = this.space.dueAt()) <= target;) {
      this.now = Math.max(this.now, due);
      this.space.wake(this.now);
      onWake();
    }
    this.now = target;
  }
}

export const queueConfig: QueueConfig = {
  ordering: "best_effort",
  payloadBytes: 1000,
  maxMessageAgeMs: 1e9,
  maxNackDelayMs: 1e9,
  dlqRetentionMs: 1e9,
  maxMessages: 0,
  maxDead: 1000,
  maxIdempotencyKeys: 1000,
  defaultLeaseMs: 10_000,
  maxDeliveries: 3,
};

export const topicConfig: TopicConfig = { payloadBytes: 1000, retentionMs: 1e9, maxLen: 1000, reclaimAfterMs: 10_000 };

export function queueNamed(id: string, config: Partial<QueueConfig>): OpenBody {
  return {
    name: { prefix: "", kind: "queue", tenantId: "default", id },
    config: { ...queueConfig, ...config },
    durability: "relaxed",
    seed: "GEN",
  };
}

export function topicNamed(id: string, config: Partial<TopicConfig>): OpenBody {
  return {
    name: { prefix: "", kind: "topic", tenantId: "default", id },
    config: { ...topicConfig, ...config },
    durability: "relaxed",
    seed: "GEN",
  };
}
