import { GapError, closedError } from "../protocol/errors.js";
import type { Maybe } from "./backend.js";
import type { Handle } from "./handle.js";
import { LogFeed, type LogSource } from "./log-feed.js";
import { delay } from "./ranges.js";
import { anySignal } from "./signals.js";
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
  /** The next event; null when none came in time, or the signal aborted. */
  recv(options?: LogRecvOptions): Promise<Item | null>;
  /** Events until the signal aborts or the reader is closed; with `wait: false` until there is none. */
  stream(options?: LogRecvOptions): AsyncIterableIterator<Item>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface LogReaderOptions<Event extends { n: number }, Item> {
  // oxlint-disable-next-line typescript/no-explicit-any -- of any kind
  handle: Handle<any>;
  tenantId: string | undefined;
  after: string;
  source: LogSource<Event>;
  /** The item of an event; undefined: skip it. */
  decode(event: Event, cursor: string): Maybe<Item | undefined>;
  /** The item that tells of lost events. */
  overflow(gap: GapError): Item;
}

/** A reader that is anchored now. */
export function createLogReader<Event extends { n: number }, Item>(
  options: LogReaderOptions<Event, Item>,
): LogReader<Item> {
  const { handle, tenantId, after, source, decode, overflow } = options;
  const closing = new AbortController();
  const { signal, release } = anySignal(closing.signal, handle.closing.signal);
  const feed = new LogFeed({ handle, tenantId, after, source, signal });
  /** Calls of `recv` take their turns: there is one position. */
  let turn: Promise<unknown> = Promise.resolve();

  const take = async (idleMs: number, given: AbortSignal | undefined): Promise<Item | null> => {
    const endAt = performance.now() + idleMs;
    for (;;) {
      let next;
      try {
        next = await feed.next(Math.max(0, endAt - performance.now()), given);
      } catch (error) {
        if (signal.aborted || given?.aborted) return null;
        if (error instanceof GapError) return overflow(error);
        throw error;
      }
      if (next === undefined) return null;
      const item = await decode(next.event, next.cursor);
      if (item !== undefined) return item;
    }
  };
  const recv = async (cfg: LogRecvOptions = {}): Promise<Item | null> => {
    if (closing.signal.aborted) throw closing.signal.reason as Error;
    handle.assertOpen();
    const idleMs = cfg.wait === false ? 0 : delay("timeoutMs", cfg.timeoutMs ?? DEFAULT_WAIT_MS);
    if (cfg.signal?.aborted) return null;
    const result = turn.then(() => take(idleMs, cfg.signal));
    turn = result.catch(() => {});
    return result;
  };
  const close = async (): Promise<void> => {
    closing.abort(closedError("reader"));
    feed.close();
    release();
  };
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
