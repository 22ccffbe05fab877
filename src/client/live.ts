import type { TopicEvent } from "../protocol/commands.js";
import { GapError, TopicPayloadError, ValidationError } from "../protocol/errors.js";
import type { Handle } from "./handle.js";
import { LogFeed, type LogSource } from "./log-feed.js";
import { delay } from "./ranges.js";
import type { OutputOf, Schema } from "./schema.js";
import { anySignal } from "./signals.js";
import { iterator } from "./stream.js";
import { eventFields } from "./topic-event.js";
import type { LiveOptions, TopicEventOf } from "./topic-types.js";
import { decodeValue } from "./values.js";

const source: LogSource<TopicEvent> = {
  anchor: (port, after, signal) => port.call("topic.anchor", { after }, { signal }),
  read: (port, range, signal) => port.call("topic.read", range, { signal }),
  pick: (announced) => (announced.type === "topic.published" ? announced.event : undefined),
};

/** The `live()` of a topic handle. */
export function liveEvents<S extends Schema>(
  handle: Handle<"topic">,
  schema: S,
  options: LiveOptions,
): AsyncIterableIterator<TopicEventOf<OutputOf<S>>> {
  type Item = TopicEventOf<OutputOf<S>>;
  const idleMs = options.timeoutMs === undefined ? undefined : delay("timeoutMs", options.timeoutMs);
  const stopped = new AbortController();
  const { signal, release } = anySignal(stopped.signal, handle.ending, options.signal);
  const feed = new LogFeed({ handle, tenantId: options.tenantId, after: options.after ?? "$", source, signal });
  let ended = false;

  const finish = (): IteratorReturnResult<undefined> => {
    if (!ended) feed.close();
    ended = true;
    release();
    return { done: true, value: undefined };
  };
  const take = async (): Promise<Item | undefined> => {
    for (;;) {
      const next = await feed.next(idleMs);
      if (next === undefined) return undefined;
      try {
        return eventFields(next.event, next.cursor, await decodeValue(schema, next.event.data));
      } catch (error) {
        if (!(error instanceof ValidationError) || options.invalidPayload !== "throw") continue;
        const { eventId, data: rawPayload } = next.event;
        throw new TopicPayloadError({ eventId, rawPayload }, { cause: error });
      }
    }
  };
  const advance = async (): Promise<IteratorResult<Item, undefined>> => {
    for (;;) {
      if (ended || signal.aborted) return finish();
      try {
        const value = await take();
        return value === undefined ? finish() : { done: false, value };
      } catch (error) {
        if (signal.aborted) return finish();
        if (error instanceof GapError && options.onGap === "continue") continue;
        finish();
        throw error;
      }
    }
  };

  return iterator(advance, () => stopped.abort(), finish);
}
