/** A disk that gets full: what Chromium lets us set, and the small quota of a test makes everything of it visible. */
import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { until } from "./support/browser.js";
import { setStage } from "./support/stage.js";

const stage = setStage();

async function setQuota(page: Page, quotaSize?: number): Promise<void> {
  const session = await stage.profile.context.newCDPSession(page);
  await session.send("Storage.overrideQuotaForOrigin", {
    origin: stage.site.origin,
    ...(quotaSize ? { quotaSize } : {}),
  });
}

/** A tab whose origin has little room, from before its first write: Chromium remembers for a while how much there was. */
async function openCramped(quotaSize: number): Promise<Page> {
  const page = await stage.profile.open(stage.site.origin);
  await setQuota(page, quotaSize);
  await page.evaluate(() => {
    join("test");
    // Random, for the database compresses.
    globalThis.noise = (bytes) =>
      Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) => byte.toString(16)).join("");
    return q.send({ data: { i: -1 } });
  });
  return page;
}

/** Sends until it is refused; resolves with how many were accepted. */
function fill(page: Page, bytes: number): Promise<number> {
  return page.evaluate(async (size) => {
    for (let i = 0; ; i++) {
      try {
        await q.send({ data: { i }, meta: noise(size) });
      } catch (error) {
        if ((error as { code: string }).code !== "QUOTA") throw error;
        return i;
      }
    }
  }, bytes);
}

describe("the disk is full", () => {
  test.each([
    { quota: 3_000_000, bytes: 1000 },
    { quota: 12_000_000, bytes: 4000 },
  ])(
    "of messages of $bytes bytes: all can be received and acknowledged, and then there is room again",
    async (given) => {
      const a = await openCramped(given.quota);
      const accepted = await fill(a, given.bytes);
      const epoch = await a.evaluate(() => backend.status.epoch);
      const outcome = await a.evaluate(async () => {
        const refused: string[] = [];
        const received: number[] = [];
        for (;;) {
          const messages = await q.recvMany({ max: 50, wait: false });
          if (messages.length === 0) return { refused, received };
          received.push(...messages.map(({ data }) => data.i));
          const note = (error: { code: string }): unknown => refused.push(error.code);
          await Promise.all(messages.map((message) => message.ack().catch(note)));
          // Refused one by one all the while, and without an effect.
          await q.send({ data: { i: 1_000_000 }, meta: noise(60_000) }).catch(() => {});
        }
      });
      expect(outcome.refused).toEqual([]);
      const sent = outcome.received.filter((i) => i < 1_000_000);
      expect(sent).toEqual(Array.from({ length: accepted + 1 }, (_, i) => i - 1));
      await until(a, () =>
        q.send({ data: { i: 7 } }).then(
          () => true,
          () => false,
        ),
      );
      expect(await a.evaluate(() => backend.status.epoch)).toBe(epoch);
    },
  );

  test("in the middle of a batch: it is all there or nothing of it, and the calls beside it are as they were told", async () => {
    const a = await openCramped(2_000_000);
    const told = await a.evaluate(async () => {
      const batches: { from: number; ok: boolean }[] = [];
      const outcome = (sent: Promise<unknown>): Promise<boolean> =>
        sent.then(
          () => true,
          () => false,
        );
      // Batches and single calls of one microtask: they go as one append, or wait for the same one.
      for (let round = 0; round < 12; round++) {
        const pair = [0, 1].map((which) => {
          const from = 1000 * (2 * round + which);
          const items = Array.from({ length: 10 }, (_, i) => ({ data: { i: from + i }, meta: noise(4000) }));
          return outcome(q.sendMany(items)).then((ok) => batches.push({ from, ok }));
        });
        const message = await q.recv({ wait: false });
        await Promise.all([...pair, message?.ack()]);
      }
      return batches;
    });
    expect(told.map(({ ok }) => ok)).toContain(false);
    await stage.restart();
    const b = await stage.openTab();
    const left = await b.evaluate(async () => (await q.recvMany({ max: 1000 })).map(({ data }) => data.i));
    const sent = told.filter(({ ok }) => ok).map(({ from }) => from);
    const all = [-1, ...sent.sort((x, y) => x - y).flatMap((from) => Array.from({ length: 10 }, (_, i) => from + i))];
    // What was acknowledged came from the front.
    expect(left).toEqual(all.slice(all.length - left.length));
    expect(all.length - left.length).toBeLessThanOrEqual(12);
  });
});
