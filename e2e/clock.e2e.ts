/** Clocks that step an hour, in the hub or in a tab, while durable things wait for their time. */
import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { until } from "./support/browser.js";
import { setStage } from "./support/stage.js";

const stage = setStage();
const { openTab } = stage;
const HOUR = 3_600_000;

/** From here on the page's clock shows another time. */
function stepTab(page: Page, stepMs: number): Promise<void> {
  return page.evaluate((ms) => {
    const now = Date.now;
    Date.now = () => now() + ms;
  }, stepMs);
}

describe("the hub's clock steps", () => {
  test("forward: leases are over and delays, too; who held a message is fenced off, and each is acknowledged once", async () => {
    const [a, b] = [await openTab({ steer: true }), await openTab({ steer: true })];
    await a.evaluate(() => q.send({ data: { i: 1 } }));
    await a.evaluate(() => q.send({ data: { i: 2 }, delayMs: 1_800_000 }));
    const late = a.evaluate(async () => {
      const message = await q.recv({ leaseMs: 600_000 });
      await new Promise((resolve) => (globalThis.settle = () => resolve(undefined)));
      return message!.ack();
    });
    await until(a, async () => (await q.stats()).leased === 1);
    await a.evaluate((stepMs) => steer({ stepMs }), HOUR);
    const again = await b.evaluate(async () => {
      const messages = [await q.recv(), await q.recv()];
      const acks = await Promise.all(messages.map((message) => message!.ack()));
      return messages.map((message, i) => [message!.data.i, message!.attempt, acks[i]]);
    });
    expect(again.sort(([a], [b]) => Number(a) - Number(b))).toEqual([
      [1, 2, true],
      [2, 1, true],
    ]);
    await a.evaluate(() => settle());
    expect(await late).toBe(false);
  });

  test("back: what is delayed comes later, nothing comes twice, and fencing tokens go on growing", async () => {
    const a = await openTab({ steer: true });
    const first = await a.evaluate(async () => {
      globalThis.m = tabloom.mutex({ id: "m", durability: "relaxed" });
      const lock = (await m.acquire("r"))!;
      await m.release(lock);
      await q.send({ data: { i: 1 } });
      await (await q.recv())!.ack();
      await q.send({ data: { i: 2 }, delayMs: 500 });
      return lock.token;
    });
    await a.evaluate((stepMs) => steer({ stepMs }), -HOUR);
    const found = await a.evaluate(async () => {
      await q.send({ data: { i: 3 } });
      const messages = [await q.recv({ wait: false }), await q.recv({ wait: false })];
      const lock = (await m.acquire("r"))!;
      await messages[0]?.ack();
      return { messages: messages.map((message) => message?.data.i), token: lock.token };
    });
    expect(found.messages).toEqual([3, undefined]);
    expect(found.token).toBeGreaterThan(first);
    // Another hub, whose clock is right again: nothing was lost in between.
    await stage.profile.killWorkers();
    expect(await a.evaluate(async () => (await q.recv({ timeoutMs: 20_000 }))?.data.i)).toBe(2);
    const { token } = await a.evaluate(async () => {
      await m.release((await m.acquire("other"))!);
      return (await m.acquire("third"))!;
    });
    expect(token).toBeGreaterThan(found.token);
  });
});

describe("a tab's clock steps", () => {
  for (const [name, step] of Object.entries({ forward: HOUR, back: -HOUR })) {
    test(`${name}: what lasts and what waits does not follow it`, async () => {
      const a = await openTab();
      await a.evaluate(() => q.send({ data: { i: 1 } }));
      await a.evaluate(() => q.send({ data: { i: 2 }, delayMs: 1_800_000 }));
      const held = a.evaluate(async () => {
        const message = await q.recv({ leaseMs: 600_000 });
        await new Promise((resolve) => (globalThis.settle = () => resolve(undefined)));
        return [await message!.touch({ leaseMs: 600_000 }), await message!.ack(), await message!.ack()];
      });
      await until(a, async () => (await q.stats()).leased === 1);
      await stepTab(a, step);
      // Calls, waiting ones too, take as long as they take.
      const waiting = a.evaluate(() => q.recv({ timeoutMs: 300 }));
      expect(await waiting).toBeNull();
      expect(await a.evaluate(() => q.stats())).toMatchObject({ leased: 1, delayed: 1, ready: 0 });
      await a.evaluate(() => settle());
      expect(await held).toEqual([true, true, false]);
      const live = a.evaluate(async () => {
        for await (const event of t.live({ timeoutMs: 20_000 })) return event.data;
        return undefined;
      });
      await until(a, async () => (await t.latestCursor()) !== undefined);
      await a.evaluate(async () => {
        // Heard by its own listener, over a channel that drops what is stamped before the listener was there.
        for (let i = 0; i < 3; i++) {
          await t.pub({ data: "heard" });
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
      });
      expect(await live).toBe("heard");
    });
  }
});
