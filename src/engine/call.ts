import type { Body, CommandName } from "../protocol/commands.js";
import type { FeedEvent } from "../protocol/events.js";
import { TabloomError } from "../protocol/errors.js";
import type { Instance } from "./instance.js";
import type { Attachment } from "./payloads.js";
import type { Rule } from "./primitive.js";

/** A command on its way through the engine. */
export interface Call {
  /** Tab and incarnation; "" for what no tab asked for. */
  readonly owner: string;
  /** The tab's sequence number. */
  readonly seq: number;
  readonly op: CommandName;
  readonly body: Body<CommandName>;
  readonly instance: Instance;
  /** Order of arrival at this hub. */
  arrival: number;
  /** Until when it may stay parked; 0 when it does not wait. */
  waitUntil: number;
  /** The lane where it is parked. */
  parkedIn: string | undefined;
}

export type Outcome = { ok: true; value: unknown } | { ok: false; error: unknown };

/** A call with its outcome, which may leave when `turn` is committed (0: at once). */
export interface Settled {
  readonly call: Call;
  readonly outcome: Outcome;
  readonly turn: number;
  /** To be read before it leaves. */
  readonly attachments?: readonly Attachment[] | undefined;
}

/** An event that may be announced when `turn` is committed. */
export interface Announced {
  readonly event: FeedEvent;
  readonly turn: number;
}

type AnyRule = Rule<unknown, CommandName>;

export function ruleOf(instance: Instance, op: CommandName): AnyRule {
  const rule = (instance.primitive.rules as unknown as Record<string, AnyRule | undefined>)[op];
  if (rule === undefined) throw new TabloomError("VALIDATION", `${op} is not a command of a ${instance.name.kind}`);
  return rule;
}

/** What a waiting call gets when it waited in vain. */
export function noneOf(call: Call): unknown {
  return ruleOf(call.instance, call.op).waits?.none(call.body as Body<CommandName>) ?? null;
}
