import type { TopicEvent } from "../protocol/commands.js";
import type { TopicEventOf } from "./topic-types.js";
import { decodeMeta } from "./values.js";

export function eventFields<Data>(event: TopicEvent, cursor: string, data: Data): TopicEventOf<Data> {
  const { eventId, publishedAt, orderingKey, meta } = event;
  return {
    data,
    eventId,
    cursor,
    publishedAt,
    ...(orderingKey === undefined ? {} : { orderingKey }),
    ...(meta === undefined ? {} : { meta: decodeMeta(meta) }),
  };
}
