import type { QueuePeek } from "../protocol/commands.js";
import type { Message, QueueState } from "./queue-state.js";

/** Messages without claiming them: those that are held, those that wait, those that are delayed. */
export function peekMessages(state: QueueState, limit: number): QueuePeek[] {
  const found: QueuePeek[] = [];
  const look = (message: Message): boolean => {
    const place = message.place!;
    found.push({
      messageId: message.messageId,
      data: message.data,
      at: place.at,
      attempt: place.attempts,
      priority: message.priority,
      ...(message.orderingKey === undefined ? {} : { orderingKey: message.orderingKey }),
      ...(place.at === "leased" ? { untilAt: place.untilAt, by: place.by } : {}),
      ...(place.at === "delayed" ? { untilAt: place.dueAt } : {}),
    });
    return found.length < limit;
  };
  for (const message of state.byDelivery.values()) if (!look(message)) return found;
  for (const message of state.ready.list()) if (!look(message)) return found;
  for (const { message } of state.delayed.live()) if (!look(message)) return found;
  return found;
}
