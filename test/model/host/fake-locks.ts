type Granted = () => unknown;

interface Waiter {
  grant(): void;
}

/**
 * Exclusive Web Locks in short, which Node does not have. Granted in order of asking, never within the call that asks
 * or releases, as a browser does.
 */
export class FakeLocks {
  readonly #queues = new Map<string, Waiter[]>();

  request(name: string, options: { signal?: AbortSignal } | Granted, granted?: Granted): Promise<unknown> {
    const run = typeof options === "function" ? options : granted!;
    const signal = typeof options === "function" ? undefined : options.signal;
    const queue = this.#queues.get(name) ?? [];
    this.#queues.set(name, queue);
    return new Promise((resolve, reject) => {
      let held = false;
      const waiter: Waiter = {
        grant: () => {
          held = true;
          void Promise.resolve()
            .then(run)
            .then(resolve, reject)
            .finally(() => this.#leave(name, waiter));
        },
      };
      signal?.addEventListener("abort", () => {
        if (held) return;
        this.#leave(name, waiter);
        reject(signal.reason as Error);
      });
      queue.push(waiter);
      if (queue.length === 1) waiter.grant();
    });
  }

  query(): Promise<{ held: { name: string }[] }> {
    const held = [...this.#queues].filter(([, queue]) => queue.length > 0).map(([name]) => ({ name }));
    return Promise.resolve({ held });
  }

  #leave(name: string, waiter: Waiter): void {
    const queue = this.#queues.get(name)!;
    const first = queue[0] === waiter;
    queue.splice(queue.indexOf(waiter), 1);
    if (first) queue[0]?.grant();
  }
}
