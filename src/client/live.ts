import type { Kind, TopicEvent } from "../protocol/commands.js";
import { GapError, TopicPayloadError, ValidationError } from "../protocol/errors.js";
import type { Maybe } from "./backend.js";
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
  return liveLog({
    ...options,
    handle,
    source,
    async decode(event, cursor) {
      try {
        return eventFields(event, cursor, await decodeValue(schema, event.data));
      } catch (error) {
        if (!(error instanceof ValidationError) || options.invalidPayload !== "throw") return undefined;
        const { eventId, data: rawPayload } = event;
        throw new TopicPayloadError({ eventId, rawPayload }, { cause: error });
      }
    },
  });
}

interface LiveLogOptions<Event extends { n: number }, Item> extends Omit<LiveOptions, "invalidPayload"> {
  handle: Handle<Kind>;
  source: LogSource<Event>;
  /** The item of an event; undefined: skip it. */
  decode(event: Event, cursor: string): Maybe<Item | undefined>;
}

/** The events of a log to a listener, from this call on or from a cursor. */
export function liveLog<Event extends { n: number }, Item>({
  handle,
  tenantId,
  after = "$",
  timeoutMs,
  onGap,
  source,
  decode,
  signal: given,
}: LiveLogOptions<Event, Item>): AsyncIterableIterator<Item> {
  const idleMs = timeoutMs === undefined ? undefined : delay("timeoutMs", timeoutMs);
  const stopped = new AbortController();
  const { signal, release } = anySignal(stopped.signal, handle.ending, given);
  const feed = new LogFeed({ handle, tenantId, after, source, signal });
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
      const item = await decode(next.event, next.cursor);
      if (item !== undefined) return item;
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
        if (error instanceof GapError && onGap === "continue") continue;
        finish();
        throw error;
      }
    }
  };

  return iterator(advance, () => stopped.abort(), finish);
}
