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

/** setTimeout for any duration: beyond 2^31−1 ms the platform's would fire at once. */
export function setLongTimeout(run: () => void, ms: number): () => void {
  const MAX = 2 ** 31 - 1;
  let timer: ReturnType<typeof setTimeout>;
  const arm = (left: number): void => {
    timer = setTimeout(() => (left > MAX ? arm(left - MAX) : run()), Math.min(left, MAX));
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
