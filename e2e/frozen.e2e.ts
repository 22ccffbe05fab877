import { describe, expect, test } from "vitest";
import { setSleepers, until } from "./support/sleepers.js";

const { openTab } = setSleepers("/e2e/pages/blank.html");

describe("a frozen tab", () => {
  test("lives: it keeps what has no end, and others wait for it", async () => {
    const [frozen, other] = [await openTab(), await openTab()];
    await other.evaluate(() => sendAll(1));
    await frozen.evaluate(async () => {
      globalThis.m = tabloom.mutex({ id: "m", defaultTtl: 3_600_000 });
      globalThis.lock = (await m.acquire("r"))!;
      sleep.taken = await q.recvMany({ max: 1, leaseMs: 3_600_000 });
    });
    await frozen.setFrozen(true);
    expect(
      await other.evaluate(async () => [
        await tabloom.mutex({ id: "m" }).acquire("r", { waitMs: 500 }),
        await q.recv({ timeoutMs: 500 }),
        backend.status.tabs,
      ]),
    ).toEqual([null, null, 2]);
    await frozen.setFrozen(false);
    expect(await frozen.evaluate(async () => [await m.extend(lock), await sleep.taken[0]!.ack()])).toEqual([
      true,
      true,
    ]);
  });

  test("loses what runs out, and what it still does with that when it wakes harms nobody", async () => {
    const [frozen, other] = [await openTab(), await openTab()];
    await other.evaluate(() => sendAll(1));
    await frozen.evaluate(async () => {
      globalThis.m = tabloom.mutex({ id: "m", defaultTtl: 400 });
      globalThis.lock = (await m.acquire("r"))!;
      sleep.taken = await q.recvMany({ max: 1, leaseMs: 400 });
    });
    await frozen.setFrozen(true);
    const next = await other.evaluate(async () => {
      globalThis.m = tabloom.mutex({ id: "m", defaultTtl: 3_600_000 });
      globalThis.lock = (await m.acquire("r", { waitMs: 20_000 }))!;
      sleep.taken = [(await q.recv({ timeoutMs: 20_000 }))!];
      return { token: lock.token, attempt: sleep.taken[0]!.attempt };
    });
    expect(next.attempt).toBe(2);
    await frozen.setFrozen(false);
    const late = await frozen.evaluate(async () => ({
      token: lock.token,
      extended: await m.extend(lock),
      released: await m.release(lock).then(() => true),
      settled: [await sleep.taken[0]!.touch(), await sleep.taken[0]!.nack(), await sleep.taken[0]!.ack()],
      aborted: lock.signal.aborted,
    }));
    expect(late).toMatchObject({ extended: false, released: true, settled: [false, false, false], aborted: true });
    expect(late.token).toBeLessThan(next.token);
    expect(await other.evaluate(async () => [await m.extend(lock), await sleep.taken[0]!.ack()])).toEqual([true, true]);
  });

  test("that handles a job is overtaken by another, whose result counts", async () => {
    const [frozen, other] = [await openTab(), await openTab()];
    for (const [tab, name] of [[frozen, "frozen"] as const, [other, "other"] as const]) {
      await tab.evaluate((by) => {
        sleep.runs = [];
        sleep.job = tabloom.job({
          id: "worked",
          schema: anything,
          defaults: { leaseMs: 500, maxAttempts: 2 },
          async process({ ctx }) {
            const run = { attempt: ctx.attempt, aborted: false };
            sleep.runs.push(run);
            ctx.signal.addEventListener("abort", () => (run.aborted = true));
            if (by === "frozen") await new Promise<void>((leave) => (sleep.leaveHandler = leave));
            return by;
          },
        });
      }, name);
    }
    const jobId = await frozen.evaluate(async () => sleep.job.submit({ input: 1 }));
    await until(frozen, () => sleep.runs.length === 1);
    await frozen.setFrozen(true);
    // Only now is there another that could take it.
    const outcome = other.evaluate(async (id) => {
      await sleep.job.start();
      return sleep.job.join({ id, timeoutMs: 30_000 });
    }, jobId);
    expect(await outcome).toMatchObject({ result: "other" });
    await frozen.setFrozen(false);
    await until(frozen, () => sleep.runs[0]!.aborted);
    await frozen.evaluate(() => sleep.leaveHandler());
    expect(await other.evaluate((id) => sleep.job.join({ id, timeoutMs: 1000 }), jobId)).toMatchObject({
      result: "other",
    });
  });
});
