import type { Body, DeadEntry } from "../protocol/commands.js";
import { ValidationError } from "../protocol/errors.js";
import { textOf } from "./payloads.js";
import type { Context, Rules } from "./primitive.js";
import { type Dead, type Message, type QueueState, deadLetters, messages, places } from "./queue-state.js";

/** Moves a message to the dead-letter queue; false when that is full. */
export function bury(state: QueueState, ctx: Context, message: Message, reason: string, lastError?: string): boolean {
  forgetOldDead(state, ctx);
  if (state.dead.length >= state.config.maxDead) return false;
  const place = message.place!;
  const dead: Dead = {
    n: state.next++,
    messageId: message.messageId,
    data: message.data,
    meta: message.meta,
    orderingKey: message.orderingKey,
    bytes: message.bytes,
    priority: message.priority,
    attempts: place.attempts,
    movedAt: ctx.now,
    reason,
    lastError: lastError ?? place.lastError,
  };
  ctx.put(places, message, undefined);
  ctx.put(messages, message, undefined);
  ctx.put(deadLetters, dead, dead);
  return true;
}

export function forgetOldDead(state: QueueState, ctx: Context): void {
  for (;;) {
    const oldest = state.dead.first();
    if (oldest === undefined || oldest.movedAt + state.config.dlqRetentionMs > ctx.now) return;
    ctx.put(deadLetters, oldest, undefined);
  }
}

export const queueDeadRules: Pick<
  Rules<QueueState, "queue">,
  "queue.listDead" | "queue.removeDead" | "queue.redriveDead" | "queue.purgeDead"
> = {
  "queue.listDead": { run: list },
  "queue.removeDead": {
    run(state, { messageId }, ctx) {
      const dead = state.deadById.get(messageId);
      if (dead === undefined) return false;
      ctx.put(deadLetters, dead, undefined);
      return true;
    },
    recall: () => true,
    usual: (reply) => reply,
  },
  "queue.redriveDead": {
    run(state, { messageIds, delayMs = 0 }, ctx) {
      const chosen = messageIds
        ? [...new Set(messageIds)].map((id) => state.deadById.get(id)).filter((dead) => dead !== undefined)
        : [...state.dead];
      for (const dead of chosen) redrive(state, ctx, dead, delayMs);
      return chosen.length;
    },
  },
  "queue.purgeDead": {
    run(state, _, ctx) {
      const all = [...state.dead];
      for (const dead of all) ctx.put(deadLetters, dead, undefined);
      return all.length;
    },
  },
};

/** The same id as a new message at the back: attempt 0, age from now. */
function redrive(state: QueueState, ctx: Context, dead: Dead, delayMs: number): void {
  const { messageId, data, meta, orderingKey, bytes, priority } = dead;
  const message: Message = {
    seq: state.next++,
    messageId,
    data,
    meta,
    orderingKey,
    bytes,
    priority,
    ageFrom: ctx.now + delayMs,
    delayed: delayMs > 0,
    place: undefined,
  };
  ctx.put(deadLetters, dead, undefined);
  ctx.put(messages, message, message);
}

function list(
  state: QueueState,
  { limit, after }: Body<"queue.listDead">,
  ctx: Context,
): { entries: DeadEntry[]; next?: string } {
  if (after !== undefined && !/^\d{1,15}$/.test(after))
    throw new ValidationError(`"after" is not a cursor of this list`);
  const from = after === undefined ? 0 : state.dead.search(Number(after) + 1);
  const entries: DeadEntry[] = [];
  let last: Dead | undefined;
  for (let i = from; i < state.dead.length && entries.length < limit; i++) {
    const dead = (last = state.dead.at(i)!);
    entries.push(entryOf(dead));
    if (typeof dead.data !== "number") continue;
    const isGone = (): boolean => state.deadById.get(dead.messageId) !== dead;
    ctx.attachments.push({ ref: dead.data, into: entries.at(-1)!, dataOnly: false, isGone });
  }
  const more = last !== undefined && last !== state.dead.last();
  return more ? { entries, next: String(last!.n) } : { entries };
}

function entryOf(dead: Dead): DeadEntry {
  const { messageId, data, attempts, movedAt, reason, lastError, orderingKey, meta } = dead;
  return {
    messageId,
    data: textOf(data),
    attempts,
    movedAt,
    reason,
    ...(lastError === undefined ? {} : { lastError }),
    ...(orderingKey === undefined ? {} : { orderingKey }),
    ...(meta === undefined ? {} : { meta }),
  };
}
