import type { Gap, Kind } from "../protocol/commands.js";
import { formatCursor } from "../protocol/cursor.js";
import { GapError } from "../protocol/errors.js";
import type { InstanceEvent } from "../protocol/events.js";
import type { Maybe, Port } from "./backend.js";
import type { Handle } from "./handle.js";
import { promised } from "./maybe.js";
import { setLongTimeout } from "./signals.js";

/** A listener that is slower than this many events reads the rest from the log when it comes to it. */
const BUFFERED = 1000;
const PAGE = 500;

export interface ReadRange {
  after: number;
  limit: number;
}

/** How one kind of log is read. */
export interface LogSource<Event extends { n: number }> {
  /** Resolves "0", "$" or a cursor to a place in the log. */
  anchor(port: Port, after: string, signal: AbortSignal): Maybe<{ generation: string; n: number; gap?: Gap }>;
  /**
   * Events of this reader after a number, at most `limit`. `head`: the newest number of the whole log. A reply of
   * `limit` events ends at the last of them; a shorter one says that nothing else stands up to `head`.
   */
  read(port: Port, range: ReadRange, signal: AbortSignal): Maybe<{ events: readonly Event[]; head: number; gap?: Gap }>;
  /** The event in what was announced; undefined when this reader does not ask for it. */
  pick(announced: InstanceEvent): Event | undefined;
}

export interface LogFeedOptions<Event extends { n: number }> {
  handle: Handle<Kind>;
  tenantId: string | undefined;
  after: string;
  source: LogSource<Event>;
  /** Ends the feed. */
  signal: AbortSignal;
}

/**
 * The events of an instance's log to one reader. What the hub announces is only a hint: numbers are dense, so a missing
 * one shows, and everything from there on is read from the log until the two meet again.
 */
export class LogFeed<Event extends { n: number }> {
  /** Events that are next, without a gap. */
  readonly #buffer: Event[] = [];
  /** Up to here everything is in the buffer, was taken from it, or is not for this reader. */
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
  readonly #options: LogFeedOptions<Event>;
  readonly #source: LogSource<Event>;
  readonly #signal: AbortSignal;
  /** undefined: the last attempt failed, and its failure was told. */
  #anchored: Promise<void> | undefined;
  #unlisten = (): void => {};
  #gap: GapError | undefined;

  constructor(options: LogFeedOptions<Event>) {
    this.#options = options;
    this.#source = options.source;
    this.#signal = options.signal;
    // Made now, so that it is in line with this client's later calls; its failure surfaces at the first `next`.
    this.#anchored = this.#begin();
    this.#anchored.catch(() => {});
  }

  #begin(): Promise<void> {
    const { handle, tenantId, after } = this.#options;
    return promised(() => {
      this.#port = handle.port(tenantId);
      this.#unlisten();
      this.#unlisten = this.#port.listen({
        event: (event, n) => this.#hear(event, n),
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
  }

  /**
   * The next event; undefined once a signal aborted, or when none came for `idleMs`. Throws `GapError` when events are
   * lost. One at a time.
   */
  async next(idleMs: number | undefined, signal?: AbortSignal): Promise<{ event: Event; cursor: string } | undefined> {
    const anchored = (this.#anchored ??= this.#begin());
    try {
      await anchored;
    } catch (error) {
      this.#anchored = undefined;
      throw error;
    }
    for (let waited = false; ;) {
      if (this.#gap) {
        const gap = this.#gap;
        this.#gap = undefined;
        throw gap;
      }
      const event = this.#buffer.shift();
      if (event) return { event, cursor: formatCursor(this.#generation, event.n) };
      if (this.#signal.aborted || signal?.aborted) return undefined;
      if (this.#behind) await this.#read();
      else if (waited) return undefined;
      else if (!(await this.#event(idleMs, signal))) {
        // What was announced may still be on its way: the log knows.
        waited = true;
        this.#behind = true;
      }
    }
  }

  /** After a gap: leaves out what is still retained, too. The place behind the newest event. */
  async skip(gap: GapError): Promise<string> {
    this.#reading = true;
    this.#heardUpTo = 0;
    try {
      await this.#anchor("$");
    } catch (error) {
      this.#gap = gap;
      throw error;
    } finally {
      this.#reading = false;
    }
    this.#buffer.length = 0;
    this.#behind ||= this.#heardUpTo > this.#reached;
    return formatCursor(this.#generation, this.#reached);
  }

  close(): void {
    this.#unlisten();
    this.#wake?.();
  }

  #hear(announced: InstanceEvent, n: number): void {
    // Not of the log, or known.
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
    this.#reached = n;
    const event = this.#source.pick(announced);
    if (event === undefined) return;
    this.#buffer.push(event);
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
    if (this.#adrift) await this.#findAgain();
    const range = { after: this.#reached, limit: PAGE };
    const { events, head, gap } = await this.#source.read(this.#port, range, this.#signal);
    // Another hub may have answered, of another log.
    if (this.#adrift) return;
    if (gap) this.#gap = new GapError(gap);
    this.#buffer.push(...events);
    const full = events.length === PAGE;
    this.#reached = Math.max(this.#reached, full ? events.at(-1)!.n : head);
    if (full || this.#heardUpTo > this.#reached) this.#behind = true;
  }

  async #findAgain(): Promise<void> {
    this.#adrift = false;
    try {
      await this.#anchor(formatCursor(this.#generation, this.#reached));
    } catch (error) {
      this.#adrift = true;
      throw error;
    }
  }

  async #anchor(after: string): Promise<void> {
    const { generation, n, gap } = await this.#source.anchor(this.#port, after, this.#signal);
    this.#generation = generation;
    this.#reached = n;
    if (gap) this.#gap = new GapError(gap);
  }

  /** Resolves true when something happened, false when nothing did for `idleMs`. */
  #event(idleMs: number | undefined, signal: AbortSignal | undefined): Promise<boolean> {
    return new Promise((resolve) => {
      const finish = (happened: boolean): void => {
        this.#wake = undefined;
        stop?.();
        this.#signal.removeEventListener("abort", wake);
        signal?.removeEventListener("abort", wake);
        resolve(happened);
      };
      const wake = (): void => finish(true);
      if (idleMs === 0) return resolve(false);
      const stop = idleMs === undefined ? undefined : setLongTimeout(() => finish(false), idleMs);
      this.#wake = wake;
      this.#signal.addEventListener("abort", wake, { once: true });
      signal?.addEventListener("abort", wake, { once: true });
    });
  }
}
