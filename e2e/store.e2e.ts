import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { until } from "./support/browser.js";
import { setStage } from "./support/stage.js";

const stage = setStage();
const openTab = (): Promise<Page> => stage.profile.open(stage.site.origin, "/e2e/pages/store.html");

const IN_USE = { name: "TabloomError", code: "STORAGE" };

test("state survives a reload, and is there at the first call", async () => {
  const a = await openTab();
  await a.evaluate(() => sendAll(3));
  for (let round = 0; round < 5; round++) {
    await a.reload();
    await a.waitForFunction(() => document.title === "ready");
    expect(await a.evaluate(async () => (await q.stats()).depth)).toBe(3);
  }
  expect(await a.evaluate(async () => (await q.recv({ wait: false }))?.data)).toEqual({ i: 0 });
});

test("state survives the browser", async () => {
  const a = await openTab();
  await a.evaluate(() => sendAll(100));
  // The browser writes localStorage a little later, by itself; on its way out it writes everything.
  await stage.restart();
  const b = await openTab();
  expect(await b.evaluate(async () => (await q.stats()).depth)).toBe(100);
});

test("a second tab with the same prefix is refused until the first closes its backend, and has the state then", async () => {
  const [a, b] = [await openTab(), await openTab()];
  await a.evaluate(() => sendAll(2));
  expect(await b.evaluate(() => refusal(() => q.stats()))).toEqual(IN_USE);
  expect(await b.evaluate(() => backend.status.state)).toBe("failed");
  expect(await a.evaluate(async () => (await q.stats()).depth)).toBe(2);
  await a.evaluate(() => backend.close());
  expect(await b.evaluate(async () => (await q.stats()).depth)).toBe(2);
  expect(await b.evaluate(() => backend.status.state)).toBe("ready");
});

test("a tab that is closed or crashes frees the store; what it held is free", async () => {
  const a = await openTab();
  await a.evaluate(async () => {
    await sendAll(1);
    await q.recv();
  });
  const b = await openTab();
  expect(await b.evaluate(() => refusal(() => q.stats()))).toEqual(IN_USE);
  await stage.profile.crash(a);
  await until(b, async () => (await refusal(() => q.stats())) === undefined);
  const again = await b.evaluate(async () => {
    const message = await q.recv({ wait: false });
    return { data: message?.data, attempt: message?.attempt };
  });
  expect(again).toEqual({ data: { i: 0 }, attempt: 2 });
  const c = await openTab();
  await b.close();
  await until(c, async () => (await refusal(() => q.stats())) === undefined);
  expect(await c.evaluate(async () => (await q.recv({ wait: false }))?.attempt)).toBe(3);
});

test("in one page, too, a second store with the same prefix is refused; another prefix is another store", async () => {
  const a = await openTab();
  const seen = await a.evaluate(async () => {
    await sendAll(1);
    const second = openStore("test");
    const refused = await refusal(() => second.q.stats());
    const other = await openStore("other").q.stats();
    await backend.close();
    const afterwards = await second.q.stats();
    return { refused, other: other.depth, afterwards: afterwards.depth };
  });
  expect(seen).toEqual({ refused: IN_USE, other: 0, afterwards: 1 });
});

test("tabs that take turns lose nothing, although each has a copy of localStorage of its own", async () => {
  const tabs = [await openTab(), await openTab()];
  const rounds = 8;
  const takeTurns = async (count: number): Promise<void> => {
    localStorage.getItem("so that this process has its copy");
    for (let round = 0; round < count; round++) {
      const { backend: own, q: shared } = openStore("test");
      for (let i = 0; i < 10;) {
        const refused = await refusal(() => shared.send({ data: { i }, meta: "x".repeat(5000) }));
        if (!refused) i++;
        else if (refused.code !== "STORAGE") throw new Error(refused.code);
      }
      await own.close();
    }
  };
  await Promise.all(tabs.map((tab) => tab.evaluate(takeTurns, rounds)));
  expect(await tabs[0]!.evaluate(async () => (await openStore("test").q.stats()).depth)).toBe(2 * rounds * 10);
});

test("localStorage is full: StoreWriteError, memory unchanged; draining goes on, and makes room", async () => {
  const a = await openTab();
  const seen = await a.evaluate(async () => {
    await sendAll(50);
    // To the last character, by what is not ours.
    for (let size = 4_000_000; size >= 1; size = Math.floor(size / 2)) {
      for (let i = 0; ; i++) {
        try {
          localStorage.setItem(`ballast ${size} ${i}`, "x".repeat(size));
        } catch {
          break;
        }
      }
    }
    const refused = await refusal(() => q.send({ data: { i: 1000 } }));
    const { depth } = await q.stats();
    const drained: number[] = [];
    for await (const message of q.stream({ wait: false })) {
      drained.push(message.data.i);
      await message.ack();
    }
    const room = await refusal(() => q.send({ data: { i: 1001 } }));
    localStorage.removeItem("ballast 4000000 0");
    await q.send({ data: { i: 1002 } });
    return { refused, depth, drained: drained.length, room };
  });
  expect(seen).toEqual({
    refused: { name: "StoreWriteError", code: "STORAGE", cause: "QuotaExceededError" },
    depth: 50,
    drained: 50,
    room: undefined,
  });
  await a.reload();
  await a.waitForFunction(() => document.title === "ready");
  expect(await a.evaluate(async () => (await q.stats()).depth)).toBe(2);
});
