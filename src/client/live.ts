import type { TopicEvent } from "../protocol/commands.js";
import { formatCursor } from "../protocol/cursor.js";
import { GapError, TopicPayloadError, ValidationError } from "../protocol/errors.js";
import type { Port } from "./backend.js";
import type { Handle } from "./handle.js";
import { delay } from "./ranges.js";
import type { OutputOf, Schema } from "./schema.js";
import { anySignal, setLongTimeout } from "./signals.js";
import { eventFields } from "./topic-event.js";
import type { LiveOptions, TopicEventOf } from "./topic-types.js";
import { decodeValue } from "./values.js";

/** A listener that is slower than this many events reads the rest from the log when it comes to it. */
const BUFFERED = 1000;
const PAGE = 500;

/**
 * A topic's events to one listener. What the hub announces is only a hint: numbers are dense, so a missing one shows,
 * and everything from there on is read from the log until the two meet again.
 */
class LiveFeed {
  /** Events that are next, without a gap. */
  readonly #buffer: TopicEvent[] = [];
  /** The number of the last event in the buffer, or of the last one taken from it. */
  #reached = 0;
  /** There may be events in the log behind `reached` that are not in the buffer. */
  #behind = false;
  #wake: (() => void) | undefined;
  #generation = "";
  readonly #port: Port;
  readonly #anchored: Promise<void>;
  readonly #unlisten: () => void;
  #gap: GapError | undefined;

  constructor(port: Port, handle: Handle<"topic">, after: string) {
    this.#port = port;
    this.#unlisten = port.listen({
      event: (event, n) => {
        if (event.type === "topic.published") this.#hear(event.event, n);
      },
      resync: () => this.#fallBehind(),
    });
    // Made now, so that it is in line with this client's later calls; its failure surfaces at the first `next`.
    this.#anchored = Promise.resolve(
      handle.inOrder(undefined, async () => {
        const { generation, n, gap } = await port.call("topic.anchor", { after });
        this.#generation = generation;
        this.#reached = n;
        if (gap) this.#gap = new GapError(gap);
        if (after !== "$") this.#behind = true;
      }),
    );
    this.#anchored.catch(() => {});
  }

  /** The next event; undefined once the signal aborted. Throws `GapError` when events are lost. */
  async next(signal: AbortSignal): Promise<{ event: TopicEvent; cursor: string } | undefined> {
    await this.#anchored;
    for (;;) {
      if (this.#gap) {
        const gap = this.#gap;
        this.#gap = undefined;
        throw gap;
      }
      const event = this.#buffer.shift();
      if (event) return { event, cursor: formatCursor(this.#generation, event.n) };
      if (signal.aborted) return undefined;
      if (this.#behind) await this.#read();
      else await this.#event(signal);
    }
  }

  close(): void {
    this.#unlisten();
    this.#wake?.();
  }

  #hear(event: TopicEvent, n: number): void {
    if (n <= this.#reached) return;
    if (this.#behind || n !== this.#reached + 1 || this.#generation === "" || this.#buffer.length >= BUFFERED) {
      this.#fallBehind();
      return;
    }
    this.#buffer.push(event);
    this.#reached = n;
    this.#wake?.();
  }

  #fallBehind(): void {
    this.#behind = true;
    this.#wake?.();
  }

  async #read(): Promise<void> {
    // Cleared first: what is announced while the page is on its way counts again.
    this.#behind = false;
    const { events, head, gap } = await this.#port.call("topic.read", { after: this.#reached, limit: PAGE });
    if (gap) this.#gap = new GapError(gap);
    // Some of them may have been announced meanwhile.
    this.#buffer.push(...events.filter(({ n }) => n > this.#reached));
    const full = events.length === PAGE;
    this.#reached = Math.max(this.#reached, full ? events.at(-1)!.n : head);
    if (full) this.#behind = true;
  }

  #event(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#wake = undefined;
        signal.removeEventListener("abort", done);
        resolve();
      };
      this.#wake = done;
      signal.addEventListener("abort", done, { once: true });
    });
  }
}

/** The `live()` of a topic handle. */
export function liveEvents<S extends Schema>(
  handle: Handle<"topic">,
  schema: S,
  options: LiveOptions,
): AsyncIterableIterator<TopicEventOf<OutputOf<S>>> {
  type Item = TopicEventOf<OutputOf<S>>;
  const idleMs = options.timeoutMs === undefined ? undefined : delay("timeoutMs", options.timeoutMs);
  const stopped = new AbortController();
  const { signal, release } = anySignal(stopped.signal, handle.closing.signal, options.signal);
  const feed = new LiveFeed(handle.port(options.tenantId), handle, options.after ?? "$");
  let queue: Promise<unknown> = Promise.resolve();
  let ended = false;

  const finish = (): IteratorReturnResult<undefined> => {
    if (!ended) feed.close();
    ended = true;
    release();
    return { done: true, value: undefined };
  };
  const take = async (): Promise<Item | undefined> => {
    for (;;) {
      const next = await feed.next(signal);
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
      const stop = idleMs === undefined ? undefined : setLongTimeout(() => stopped.abort(), idleMs);
      try {
        const value = await take();
        return value === undefined ? finish() : { done: false, value };
      } catch (error) {
        if (signal.aborted) return finish();
        if (error instanceof GapError && options.onGap === "continue") continue;
        finish();
        throw error;
      } finally {
        stop?.();
      }
    }
  };

  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    next() {
      const result = queue.then(advance);
      queue = result.catch(() => {});
      return result;
    },
    async return() {
      stopped.abort();
      await queue;
      return finish();
    },
  };
}
