import type { Maybe } from "./backend.js";
import { isPromise } from "./maybe.js";

/** One signal that aborts when any of these does, and how to let go of them. AbortSignal.any is too new for some. */
export function anySignal(...signals: (AbortSignal | undefined)[]): { signal: AbortSignal; release: () => void } {
  const given = signals.filter((signal) => signal !== undefined);
  if (given.length === 1) return { signal: given[0]!, release: () => {} };
  const controller = new AbortController();
  const abort = (event: Event): void => controller.abort((event.target as AbortSignal).reason);
  for (const signal of given) {
    if (signal.aborted) controller.abort(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
  }
  return {
    signal: controller.signal,
    release: () => {
      for (const signal of given) signal.removeEventListener("abort", abort);
    },
  };
}

/** Runs with one signal that aborts when any of these does; lets go of them when the run is over. */
export function withAnySignal<T>(
  signals: (AbortSignal | undefined)[],
  run: (signal: AbortSignal) => Maybe<T>,
): Maybe<T> {
  const { signal, release } = anySignal(...signals);
  let result: Maybe<T>;
  try {
    result = run(signal);
  } catch (error) {
    release();
    throw error;
  }
  if (isPromise(result)) return result.finally(release);
  release();
  return result;
}

/**
 * setTimeout for any duration: beyond 2^31−1 ms the platform's would fire at once. With `keepAlive: false` it does not
 * keep a Node process running.
 */
export function setLongTimeout(run: () => void, ms: number, { keepAlive = true } = {}): () => void {
  const MAX = 2 ** 31 - 1;
  let timer: ReturnType<typeof setTimeout>;
  const arm = (left: number): void => {
    timer = setTimeout(() => (left > MAX ? arm(left - MAX) : run()), Math.min(left, MAX));
    if (!keepAlive) (timer as { unref?: () => void }).unref?.();
  };
  arm(ms);
  return () => clearTimeout(timer);
}

/** Resolves after a time, or as soon as the signal aborts. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const stop = setLongTimeout(done, ms);
    function done(): void {
      stop();
      signal?.removeEventListener("abort", done);
      resolve();
    }
    signal?.addEventListener("abort", done, { once: true });
  });
}
