import type { Kind } from "../protocol/commands.js";
import { GapError, closedError } from "../protocol/errors.js";
import type { Maybe } from "./backend.js";
import type { Handle } from "./handle.js";
import { LogFeed, type LogSource } from "./log-feed.js";
import { delay } from "./ranges.js";
import { anySignal, onAbort } from "./signals.js";
import { createStream } from "./stream.js";

const DEFAULT_WAIT_MS = 30_000;

export interface LogRecvOptions {
  /** false: do not wait when there is nothing. Default true. */
  wait?: boolean;
  /** How long to wait, in milliseconds; default 30,000, 0 does not wait. */
  timeoutMs?: number;
  /** Ends the wait: `recv` resolves null, a stream ends. */
  signal?: AbortSignal;
}

/** The events of an instance's log, one after the other; one position, however many streams share it. */
export interface LogReader<Item> {
  /** The next event; null when none came in time, the signal aborted, or the reader was closed. */
  recv(options?: LogRecvOptions): Promise<Item | null>;
  /** Events until the signal aborts or the reader is closed; with `wait: false` until there is none. */
  stream(options?: LogRecvOptions): AsyncIterableIterator<Item>;
  /** Ends the reader: parked calls give null, streams end, later calls reject with `CLOSED`. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface LogReaderOptions<Event extends { n: number }, Item> {
  handle: Handle<Kind>;
  tenantId: string | undefined;
  after: string;
  source: LogSource<Event>;
  /** The item of an event; undefined: skip it. */
  decode(event: Event, cursor: string): Maybe<Item | undefined>;
  /** The item that tells of lost events; reading goes on behind `cursor`, the newest. */
  overflow(gap: GapError, cursor: string): Item;
}

/** A reader that is anchored now. */
export function createLogReader<Event extends { n: number }, Item>(
  options: LogReaderOptions<Event, Item>,
): LogReader<Item> {
  const { handle, tenantId, after, source, decode, overflow } = options;
  const closing = new AbortController();
  const { signal, release } = anySignal(closing.signal, handle.closing.signal);
  const feed = new LogFeed({ handle, tenantId, after, source, signal });
  const waiters = new Waiters<Item>(signal, async (idleMs, interrupt) => {
    try {
      const next = await feed.next(idleMs, interrupt);
      if (next === undefined) return "nothing";
      const item = await decode(next.event, next.cursor);
      return item === undefined ? "skipped" : { item };
    } catch (error) {
      if (error instanceof GapError) return { item: overflow(error, await feed.skip(error)) };
      throw error;
    }
  });
  signal.addEventListener("abort", () => {
    feed.close();
    release();
  });

  const recv = async (cfg: LogRecvOptions = {}): Promise<Item | null> => {
    if (closing.signal.aborted) throw closing.signal.reason as Error;
    handle.assertOpen();
    const idleMs = cfg.wait === false ? 0 : delay("timeoutMs", cfg.timeoutMs ?? DEFAULT_WAIT_MS);
    return cfg.signal?.aborted ? null : waiters.wait(idleMs, cfg.signal);
  };
  const close = async (): Promise<void> => closing.abort(closedError("reader"));
  return {
    recv,
    stream: (cfg = {}) =>
      createStream({
        signals: [closing.signal.aborted ? undefined : closing.signal, handle.ending, cfg.signal],
        endWhenEmpty: cfg.wait === false,
        pull: (pulling) => recv({ ...cfg, signal: pulling }),
      }),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** "nothing" within the time, or interrupted. "skipped": an event that is no item. */
type Take<Item> = (idleMs: number, interrupt: AbortSignal) => Promise<{ item: Item } | "skipped" | "nothing">;

interface Waiting<Item> {
  readonly endAt: number;
  settle(item: Item | null): void;
  fail(error: unknown): void;
}

/** Those who wait at one reader, in order; each with its own patience, served by one who takes for all. */
class Waiters<Item> {
  readonly #waiting = new Set<Waiting<Item>>();
  /** Taken when nobody waited any more. */
  readonly #left: Item[] = [];
  readonly #take: Take<Item>;
  readonly #signal: AbortSignal;
  #serving = false;
  #interrupt = new AbortController();

  constructor(signal: AbortSignal, take: Take<Item>) {
    this.#signal = signal;
    this.#take = take;
  }

  wait(idleMs: number, signal: AbortSignal | undefined): Promise<Item | null> {
    const left = this.#left.shift();
    if (left !== undefined) return Promise.resolve(left);
    return new Promise((resolve, reject) => {
      const leave = (then: () => void): void => {
        this.#waiting.delete(waiting);
        release?.();
        then();
        if (this.#waiting.size === 0) this.#interrupt.abort();
      };
      const waiting: Waiting<Item> = {
        endAt: performance.now() + idleMs,
        settle: (item) => leave(() => resolve(item)),
        fail: (error) => leave(() => reject(error as Error)),
      };
      const release = signal && onAbort(signal, () => leave(() => resolve(null)));
      this.#waiting.add(waiting);
      // Whoever takes now may wait for longer than this one, or ask the log before this one's own writes.
      this.#interrupt.abort();
      if (!this.#serving) void this.#serve();
    });
  }

  async #serve(): Promise<void> {
    this.#serving = true;
    while (this.#waiting.size > 0) {
      const interrupt = (this.#interrupt = new AbortController()).signal;
      const endAt = Math.min(...Array.from(this.#waiting, (one) => one.endAt));
      try {
        const taken = await this.#take(Math.max(0, endAt - performance.now()), interrupt);
        if (taken === "nothing") {
          if (this.#signal.aborted || !interrupt.aborted) this.#giveUp();
        } else if (taken !== "skipped") this.#give(taken.item);
      } catch (error) {
        if (this.#signal.aborted) this.#giveUp();
        else this.#first()?.fail(error);
      }
    }
    this.#serving = false;
  }

  #give(item: Item): void {
    const first = this.#first();
    if (first) first.settle(item);
    else this.#left.push(item);
  }

  #giveUp(): void {
    const now = performance.now();
    for (const one of [...this.#waiting]) if (this.#signal.aborted || one.endAt <= now) one.settle(null);
  }

  #first(): Waiting<Item> | undefined {
    return this.#waiting.values().next().value;
  }
}
