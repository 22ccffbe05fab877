/**
 * Holds a Web Lock until the signal aborts. Resolves once it has it, and at once where there are no such locks; rejects
 * where they may not be used.
 */
export function holdLock(name: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (!navigator.locks) return resolve();
    const until = new Promise<void>((release) => signal.addEventListener("abort", () => release()));
    navigator.locks
      .request(name, { signal }, () => {
        resolve();
        return until;
      })
      .catch(reject);
  });
}
