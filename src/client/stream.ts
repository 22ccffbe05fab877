import { TabloomError } from "../protocol/errors.js";
import { expBackoff } from "./retry.js";
import { anySignal, sleep } from "./signals.js";

export interface StreamOptions<T> {
  /** The next item; null: none within the waiting time. */
  pull: (signal: AbortSignal) => Promise<T | null>;
  /** Whether null ends the stream. */
  endWhenEmpty: boolean;
  /** Any of these ends the stream. */
  signals: (AbortSignal | undefined)[];
  /** Called when the consumer asks for the next item, or stops. */
  onDone?: (item: T) => void;
}

/**
 * Items one after the other, until a signal aborts or the consumer stops: both end it normally and at once, also while
 * it waits. Errors that may pass (`retryable`) are ridden out with growing pauses; others are thrown.
 */
export function createStream<T>({ pull, endWhenEmpty, signals, onDone }: StreamOptions<T>): AsyncIterableIterator<T> {
  const stopped = new AbortController();
  const { signal, release } = anySignal(stopped.signal, ...signals);
  let current: T | undefined;
  let begun = false;
  const finish = (): IteratorReturnResult<undefined> => {
    settle();
    release();
    return { done: true, value: undefined };
  };
  const settle = (): void => {
    if (current !== undefined) onDone?.(current);
    current = undefined;
  };
  const advance = async (): Promise<IteratorResult<T, undefined>> => {
    settle();
    for (let failures = 0; !signal.aborted;) {
      try {
        const item = await pull(signal);
        begun = true;
        if (item !== null) {
          current = item;
          return { done: false, value: item };
        }
        if (endWhenEmpty) return finish();
        failures = 0;
      } catch (error) {
        // Closed under a stream that was running: its end. Opened on what is closed already: the caller's mistake.
        if (signal.aborted || (begun && error instanceof TabloomError && error.code === "CLOSED")) break;
        if (!(error instanceof TabloomError && error.retryable)) {
          finish();
          throw error;
        }
        await sleep(expBackoff(++failures), signal);
      }
    }
    return finish();
  };

  return iterator(advance, () => stopped.abort(), finish);
}

/** Calls of `next` that overlap are answered one after the other; `return` ends what is under way. */
export function iterator<T>(
  advance: () => Promise<IteratorResult<T, undefined>>,
  stop: () => void,
  finish: () => IteratorReturnResult<undefined>,
): AsyncIterableIterator<T> {
  let queue: Promise<unknown> = Promise.resolve();
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
      stop();
      await queue;
      return finish();
    },
  };
}
