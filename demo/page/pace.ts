import { TabloomError } from "tabloom";

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

/**
 * As {@link repeat}, only while someone can see it, and at once when they look again. One step at a time: while there is
 * no hub its calls wait, and would pile up. Returns how to take a step now.
 */
export function repeatWhileVisible(ms: number, step: () => void | Promise<void>): () => Promise<void> {
  let stepping = false;
  const look = async (): Promise<void> => {
    if (stepping || document.visibilityState !== "visible") return;
    stepping = true;
    try {
      await step();
    } catch (error) {
      // The next round tries again; the hub's state is shown elsewhere.
      if (!(error instanceof TabloomError)) throw error;
    } finally {
      stepping = false;
    }
  };
  setInterval(() => void look(), ms);
  document.addEventListener("visibilitychange", () => void look());
  void look();
  return look;
}
