import type { Maybe } from "./backend.js";
import { isPromise } from "./maybe.js";

/** One signal that aborts when any of these does, and how to let go of them. AbortSignal.any is too new for some. */
export function anySignal(...signals: (AbortSignal | undefined)[]): { signal: AbortSignal; release: () => void } {
  const given = signals.filter((signal) => signal !== undefined);
  if (given.length === 1) return { signal: given[0]!, release: () => {} };
  const controller = new AbortController();
  const releases = given.map((signal) => {
    const abort = (): void => controller.abort(signal.reason);
    if (signal.aborted) abort();
    return onAbort(signal, abort);
  });
  return { signal: controller.signal, release: () => releases.forEach((release) => release()) };
}

interface Listening {
  readonly runs: Set<() => void>;
  readonly stop: () => void;
}

const listening = /*#__PURE__*/ new WeakMap<AbortSignal, Listening>();

/**
 * Runs something when the signal aborts; returns how to let go of it. However many do so, the signal has one listener:
 * apps give one signal to many calls, and Node would warn of a leak at the eleventh.
 */
export function onAbort(signal: AbortSignal, run: () => void): () => void {
  let all = listening.get(signal);
  if (all === undefined) listening.set(signal, (all = listenTo(signal)));
  const { runs, stop } = all;
  runs.add(run);
  return () => {
    if (runs.delete(run) && runs.size === 0) stop();
  };
}

function listenTo(signal: AbortSignal): Listening {
  const runs = new Set<() => void>();
  const runAll = (): void => runs.forEach((run) => run());
  signal.addEventListener("abort", runAll, { once: true });
  const stop = (): void => {
    listening.delete(signal);
    signal.removeEventListener("abort", runAll);
  };
  return { runs, stop };
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
    const done = (): void => {
      stop();
      release?.();
      resolve();
    };
    const stop = setLongTimeout(done, ms);
    const release = signal && onAbort(signal, done);
  });
}

/** Waits for it, but no longer than this. */
export async function atMost(ms: number, work: Promise<unknown>): Promise<void> {
  let stop!: () => void;
  const over = new Promise<void>((resolve) => (stop = setLongTimeout(resolve, ms)));
  await Promise.race([work, over]).finally(stop);
}
