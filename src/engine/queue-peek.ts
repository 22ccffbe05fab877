import type { QueuePeek } from "../protocol/commands.js";
import { textOf } from "./payloads.js";
import type { Context } from "./primitive.js";
import type { Message, QueueState } from "./queue-state.js";

/** Messages without claiming them: those that are held, those that wait, those that are delayed. */
export function peekMessages(state: QueueState, limit: number, ctx: Context): QueuePeek[] {
  const found: QueuePeek[] = [];
  const look = (message: Message): boolean => {
    const place = message.place!;
    found.push({
      messageId: message.messageId,
      data: textOf(message.data),
      at: place.at,
      attempt: place.attempts,
      priority: message.priority,
      ...(message.orderingKey === undefined ? {} : { orderingKey: message.orderingKey }),
      ...(place.at === "leased" ? { untilAt: place.untilAt, by: place.by } : {}),
      ...(place.at === "delayed" ? { untilAt: place.dueAt } : {}),
    });
    if (typeof message.data === "number") {
      const isGone = (): boolean => message.place === undefined;
      ctx.attachments.push({ ref: message.data, into: found.at(-1)!, dataOnly: true, isGone });
    }
    return found.length < limit;
  };
  for (const message of state.byDelivery.values()) if (!look(message)) return found;
  for (const message of state.ready.list()) if (!look(message)) return found;
  for (const { message } of state.delayed.live()) if (!look(message)) return found;
  return found;
}
