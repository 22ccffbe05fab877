import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { setStage } from "./support/stage.js";

const stage = setStage();
const MESSAGES = 300;
/** Of a few messages only; all others are on disk. */
const FEW = { payloadBudgetBytes: 2000 };

/** What message i carries: of any length, in any script, one of them larger than a page. */
const TEXTS = Array.from({ length: MESSAGES }, (_, i) =>
  i === 150 ? "ä".repeat(50_000) : `${i} ü✓🧵"\\`.repeat((i % 40) + 1),
);

async function send(page: Page): Promise<void> {
  await page.evaluate(async (texts) => {
    const big = tabloom.queue({ id: "big", schema: anything });
    await Promise.all(texts.map((text, i) => big.send({ data: { text }, meta: { i } })));
  }, TEXTS);
}

/** Receives up to `count` and acknowledges them; what they carried, in order. */
async function receive(page: Page, count: number): Promise<{ text: string; i: number }[]> {
  return page.evaluate(async (max) => {
    const big = tabloom.queue({ id: "big", schema: anything });
    const found: { text: string; i: number }[] = [];
    while (found.length < max) {
      const messages = await big.recvMany({ max: Math.min(7, max - found.length), wait: false });
      if (messages.length === 0) break;
      for (const { data, meta, ack } of messages) {
        found.push({ text: (data as { text: string }).text, i: (meta as { i: number }).i });
        await ack();
      }
    }
    return found;
  }, count);
}

/** Numbers of the pages on disk; those that are named are deleted behind the hub's back. */
async function pagesOnDisk(page: Page, lost: readonly number[] = []): Promise<number[]> {
  return page.evaluate(
    (gone) =>
      new Promise((resolve, reject) => {
        const request = indexedDB.open("tabloom:test");
        request.onerror = () => reject(request.error!);
        request.onsuccess = () => {
          const tx = request.result.transaction("pages", "readwrite");
          const keys = tx.objectStore("pages").getAllKeys();
          for (const n of gone) tx.objectStore("pages").delete(n);
          tx.oncomplete = () => {
            request.result.close();
            resolve(keys.result as number[]);
          };
        };
      }),
    lost,
  );
}

const sent = (from: number, to: number) => TEXTS.slice(from, to).map((text, k) => ({ text, i: from + k }));

describe("more payloads than the hub may keep in memory", () => {
  test("come back in order and as they were, from the hub that took them and from those after it", async () => {
    const page = await stage.openTab(FEW);
    await send(page);
    expect((await pagesOnDisk(page)).length).toBeGreaterThan(5);
    expect(await receive(page, 50)).toEqual(sent(0, 50));
    expect(await stage.profile.killWorkers()).toBe(1);
    expect(await receive(page, 110)).toEqual(sent(50, 160));
    await stage.restart();
    const later = await stage.openTab(FEW);
    expect(await receive(later, MESSAGES)).toEqual(sent(160, MESSAGES));
    expect(await pagesOnDisk(later)).toEqual([]);
  });

  test("what a hub without a budget sent, one with a budget delivers, and the other way round", async () => {
    const rich = await stage.openTab();
    await rich.evaluate(() => sendAll(100));
    await rich.close();
    const poor = await stage.openTab(FEW);
    await send(poor);
    const first = await poor.evaluate(async () =>
      (await q.recvMany({ max: 200, wait: false })).map(({ data }) => data.i),
    );
    expect([...first].sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i));
    await poor.close();
    const richAgain = await stage.openTab();
    expect(await receive(richAgain, MESSAGES)).toEqual(sent(0, MESSAGES));
  });

  test("one that cannot be read is a dead letter, and those behind it are delivered", async () => {
    const page = await stage.openTab({ payloadBudgetBytes: 0 });
    // One after the other: each has a page of its own.
    await page.evaluate(() => sendAll(5, { inFlight: 1 }));
    const pages = await pagesOnDisk(page);
    expect(pages).toHaveLength(5);
    await pagesOnDisk(page, [pages[0]!, pages[2]!]);
    const seen = await page.evaluate(async () => {
      const delivered = await q.recvMany({ max: 10 });
      const { entries } = await q.dlq.list();
      return {
        delivered: delivered.map(({ data, attempt }) => [data.i, attempt]),
        dead: entries.map(({ reason, lastError, data }) => ({ reason, told: lastError !== undefined, data })),
      };
    });
    expect(seen.delivered).toEqual([1, 3, 4].map((i) => [i, 1]));
    const dead = { reason: "invalid", told: true, data: undefined };
    expect(seen.dead).toEqual([dead, dead]);
  });
});
