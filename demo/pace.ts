const ticker = new Worker(new URL("./ticker.ts", import.meta.url), { type: "module" });
const resting = new Map<number, () => void>();
let lastId = 0;

ticker.addEventListener("message", ({ data }: MessageEvent<number>) => {
  resting.get(data)?.();
  resting.delete(data);
});

/** Resolves after `ms`, also in a hidden tab. */
export function rest(ms: number): Promise<void> {
  if (ms <= 0) return Promise.resolve();
  return new Promise((resolve) => {
    const id = ++lastId;
    resting.set(id, resolve);
    ticker.postMessage({ id, ms });
  });
}

/** Runs `step` again and again with `ms` between, also in a hidden tab. */
export async function repeat(ms: number, step: () => void): Promise<never> {
  for (;;) {
    await rest(ms);
    step();
  }
}

/** As {@link repeat}, only while someone can see it, and at once when they look again. */
export function repeatWhileVisible(ms: number, step: () => void): void {
  const look = (): void => {
    if (document.visibilityState === "visible") step();
  };
  setInterval(look, ms);
  document.addEventListener("visibilitychange", look);
  look();
}
