import type { TopicEvent } from "../protocol/commands.js";
import { formatCursor } from "../protocol/cursor.js";
import { GapError, TopicPayloadError, ValidationError } from "../protocol/errors.js";
import type { Port } from "./backend.js";
import type { Handle } from "./handle.js";
import { promised } from "./maybe.js";
import { delay } from "./ranges.js";
import type { OutputOf, Schema } from "./schema.js";
import { anySignal, setLongTimeout } from "./signals.js";
import { iterator } from "./stream.js";
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
  #reading = false;
  /** The last event that was announced while a page was on its way. */
  #heardUpTo = 0;
  #wake: (() => void) | undefined;
  #generation = "";
  /** The place must be looked up again: another hub may have begun another log. */
  #adrift = false;
  #port!: Port;
  readonly #signal: AbortSignal;
  readonly #anchored: Promise<void>;
  #unlisten = (): void => {};
  #gap: GapError | undefined;

  constructor(handle: Handle<"topic">, { tenantId, after = "$" }: LiveOptions, signal: AbortSignal) {
    this.#signal = signal;
    // Made now, so that it is in line with this client's later calls; its failure surfaces at the first `next`.
    this.#anchored = promised(() => {
      this.#port = handle.port(tenantId);
      this.#unlisten = this.#port.listen({
        event: (event, n) => {
          if (event.type === "topic.published") this.#hear(event.event, n);
        },
        resync: () => {
          this.#adrift = true;
          this.#fallBehind();
        },
      });
      return handle.inOrder(undefined, async () => {
        await this.#anchor(after);
        if (after !== "$") this.#behind = true;
      });
    });
    this.#anchored.catch(() => {});
  }

  /**
   * The next event; undefined once the signal aborted, or when none came for `idleMs`. Throws `GapError` when events
   * are lost.
   */
  async next(idleMs: number | undefined): Promise<{ event: TopicEvent; cursor: string } | undefined> {
    await this.#anchored;
    for (;;) {
      if (this.#gap) {
        const gap = this.#gap;
        this.#gap = undefined;
        throw gap;
      }
      const event = this.#buffer.shift();
      if (event) return { event, cursor: formatCursor(this.#generation, event.n) };
      if (this.#signal.aborted) return undefined;
      if (this.#behind) await this.#read();
      else if (!(await this.#event(idleMs))) return undefined;
    }
  }

  close(): void {
    this.#unlisten();
    this.#wake?.();
  }

  #hear(event: TopicEvent, n: number): void {
    if (n <= this.#reached) return;
    if (this.#reading) {
      // May or may not be in the page that is on its way.
      this.#heardUpTo = Math.max(this.#heardUpTo, n);
      return;
    }
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
    this.#behind = false;
    this.#reading = true;
    this.#heardUpTo = 0;
    try {
      await this.#readPage();
    } catch (error) {
      this.#behind = true;
      throw error;
    } finally {
      this.#reading = false;
    }
  }

  async #readPage(): Promise<void> {
    const signal = this.#signal;
    if (this.#adrift) {
      this.#adrift = false;
      await this.#anchor(formatCursor(this.#generation, this.#reached));
    }
    const { events, head, gap } = await this.#port.call(
      "topic.read",
      { after: this.#reached, limit: PAGE },
      { signal },
    );
    if (gap) this.#gap = new GapError(gap);
    this.#buffer.push(...events);
    const full = events.length === PAGE;
    this.#reached = Math.max(this.#reached, full ? events.at(-1)!.n : head);
    if (full || this.#heardUpTo > this.#reached) this.#behind = true;
  }

  async #anchor(after: string): Promise<void> {
    const { generation, n, gap } = await this.#port.call("topic.anchor", { after }, { signal: this.#signal });
    this.#generation = generation;
    this.#reached = n;
    if (gap) this.#gap = new GapError(gap);
  }

  /** Resolves true when something happened, false when nothing did for `idleMs`. */
  #event(idleMs: number | undefined): Promise<boolean> {
    return new Promise((resolve) => {
      const signal = this.#signal;
      const finish = (happened: boolean): void => {
        this.#wake = undefined;
        stop?.();
        signal.removeEventListener("abort", wake);
        resolve(happened);
      };
      const wake = (): void => finish(true);
      const stop = idleMs === undefined ? undefined : setLongTimeout(() => finish(false), idleMs);
      this.#wake = wake;
      signal.addEventListener("abort", wake, { once: true });
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
  const { signal, release } = anySignal(stopped.signal, handle.ending, options.signal);
  const feed = new LiveFeed(handle, options, signal);
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
