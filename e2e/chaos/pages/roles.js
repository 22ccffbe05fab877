// What a tab does with registry, job, and a queue that is kept in memory only.
import * as tabloom from "tabloom";
import { call, happened, pause } from "../../pages/record.js";

export const COUNTERS = ["a", "b", "c"];

/** Counts up by compare and swap, against the other tabs. */
export async function increment(stop, counters, { pace, random: { int, pick } }) {
  while (!stop.aborted) {
    const key = pick(COUNTERS);
    const entry = await call(
      "get",
      { key },
      () => counters.get({ key }),
      (found) => found && found.value,
    );
    if (entry === null) {
      await call(
        "cas",
        { key, to: 1 },
        () => counters.create({ key, value: 1 }),
        ({ ok }) => ok,
      );
    } else if (entry) {
      const to = entry.value + 1;
      await call(
        "cas",
        { key, to },
        () => counters.cas({ key, version: entry.version, value: to }),
        ({ ok }) => ok,
      );
    }
    await pause(int(0, pace));
  }
}

/** A job of two steps, whose handlers this tab runs, too. */
export function runJobs(named) {
  const job = tabloom.job({
    id: "stepping",
    ...named,
    defaults: { maxAttempts: 1000, backoff: { kind: "fixed", baseMs: 10 } },
    maxCrashes: 50,
    concurrency: 2,
    async process({ ctx, input }) {
      const { value } = input;
      const done = [];
      for (const step of ["one", "two"]) {
        const run = async () => {
          happened("ran", { value, step });
          await pause(5);
          return `${value}/${step}`;
        };
        done.push(await ctx.step({ id: step, run }));
        happened("stepped", { value, step });
      }
      return done;
    },
  });
  job.start().catch(() => {});
  return job;
}

export async function submitUntil(stop, job, { name, pace, random: { int } }) {
  for (let count = 1; !stop.aborted; count++) {
    const value = `${name}-${count}`;
    await call("submit", { value }, () => job.submit({ input: { value } }));
    await pause(int(pace, pace * 8));
  }
}

/** Its calls may fail with their hub; they may not hang. */
export async function useForgetful(stop, q, { name, pace, random: { int } }) {
  for (let count = 1; !stop.aborted; count++) {
    const value = `${name}-${count}`;
    await call("forgetful send", { value }, () => q.send({ data: { value } }));
    const message = await call(
      "forgetful recv",
      {},
      () => q.recv({ timeoutMs: 100 }),
      (found) => found && found.data.value,
    );
    if (message) await call("forgetful ack", {}, () => message.ack());
    await pause(int(0, pace * 2));
  }
}

async function countersNow() {
  const { entries } = await globalThis.counters.list();
  return Object.fromEntries(entries.map(({ key, value }) => [key, value]));
}

/** What came of these jobs. */
function joinAll(ids) {
  return Promise.all(ids.map((id) => globalThis.job.join({ id, timeoutMs: 15_000 })));
}

Object.assign(globalThis, { countersNow, joinAll });
