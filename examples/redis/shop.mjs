/** What the processes of the shop share: the server, the jobs, and how each of them ends. */
import { connect, job } from "tabloom/server";
import { z } from "zod";

export const backend = connect({ redis: process.env.REDIS_URL, prefix: process.env.SHOP_PREFIX ?? "shop" });

/** An order's way: each step is done once, whichever workers it takes. Without `work` the handle only submits. */
export const orders = (work) =>
  job({
    id: "orders",
    schema: z.object({ number: z.number().int(), item: z.string() }),
    defaults: { maxAttempts: 3 },
    ...(work ? { process: work, concurrency: 1 } : { process: () => null, worker: false }),
  });

/** What the scheduler submits. */
export const reports = (work) =>
  job({
    id: "reports",
    schema: z.object({ title: z.string() }),
    ...(work ? { process: work } : { process: () => null, worker: false }),
  });

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export const say = (...words) => console.log(process.env.SHOP_NAME, ...words);

/** Ctrl-C, or start.mjs is gone: what this process works on is handed back, so that others go on with it at once. */
export const stopping = new AbortController();
export function onStop(close) {
  const leave = async () => {
    await close();
    await backend.close();
    say("has stopped");
    process.exit();
  };
  const stop = () => {
    if (stopping.signal.aborted) return;
    stopping.abort();
    void leave();
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  process.stdin.on("end", stop).resume();
}
