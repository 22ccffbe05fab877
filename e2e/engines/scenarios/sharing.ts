import { expect } from "vitest";
import { LONG_MS, type Scenario, upTo } from "../scenario.js";
import { until } from "../stage.js";

/** Many at once: more than a browser has processes for. */
const MANY = 20;

export const sharing: readonly Scenario[] = [
  {
    fault: "two tabs",
    checks: "one hub; sent in one, received and acknowledged in the other; a topic's events in order in both",
    async run({ openTab, space }) {
      const [a, b] = [await openTab(), await openTab()];
      const epochs = [await a.evaluate(() => backend.status.epoch), await b.evaluate(() => backend.status.epoch)];
      expect(new Set(epochs).size).toBe(1);
      expect(await a.evaluate((name) => hubsAlive(name), space)).toBe(1);
      await a.evaluate(() => listen());
      await b.evaluate(() => listen());
      expect(await b.evaluate(() => backend.status.tabs)).toBe(2);
      await a.evaluate(() => sendAll(50, { inFlight: 1 }));
      expect(await b.evaluate(() => takeAll())).toEqual(upTo(50));
      expect(await a.evaluate(() => q.stats())).toMatchObject({ depth: 0, leased: 0, dead: 0 });
      await Promise.all([
        a.evaluate(() => Promise.all(Array.from({ length: 20 }, (_, i) => t.pub({ data: `a${i}` })))),
        b.evaluate(() => Promise.all(Array.from({ length: 20 }, (_, i) => t.pub({ data: `b${i}` })))),
      ]);
      for (const tab of [a, b]) await until(tab, () => heard.length >= 40);
      const logs = [await a.evaluate(() => heard), await b.evaluate(() => heard)];
      expect(new Set(logs[0]).size).toBe(40);
      expect(logs[1]).toEqual(logs[0]);
    },
  },
  {
    fault: "a tab is reloaded",
    checks: "what it sent is there, in order; what it held comes back at once",
    async run({ openTab, enter }) {
      const [a, b] = [await openTab(), await openTab()];
      await a.evaluate(() => sendAll(10, { inFlight: 1 }));
      await a.evaluate((leaseMs) => q.recvMany({ max: 3, leaseMs }).then((messages) => messages.length), LONG_MS);
      await a.reload();
      await until(a, () => document.title === "ready");
      await enter(a);
      await until(b, async () => (await q.stats()).leased === 0);
      expect(await a.evaluate(() => takeAll())).toEqual(upTo(10));
    },
  },
  {
    fault: "the only tab is reloaded",
    checks: "what it sent is there, in order; what it held comes back at once",
    async run({ openTab, enter }) {
      const a = await openTab();
      await a.evaluate(() => sendAll(10, { inFlight: 1 }));
      await a.evaluate((leaseMs) => q.recvMany({ max: 3, leaseMs }).then((messages) => messages.length), LONG_MS);
      await a.reload();
      await until(a, () => document.title === "ready");
      await enter(a);
      await until(a, async () => (await q.stats()).leased === 0);
      expect(await a.evaluate(() => takeAll())).toEqual(upTo(10));
    },
  },
  {
    fault: "a tab that holds something is closed",
    checks: "its messages are delivered again at once; its lock goes to the next, with a higher token",
    async run({ openTab }) {
      const [a, b] = [await openTab(), await openTab()];
      await a.evaluate(() => sendAll(3, { inFlight: 1 }));
      const token = await b.evaluate(async (leaseMs) => {
        await q.recvMany({ max: 2, leaseMs });
        return (await m.acquire("r"))!.token;
      }, LONG_MS);
      const next = a.evaluate(async () => (await m.acquire("r", { waitMs: 60_000 }))?.token ?? 0);
      await b.close();
      expect(await next).toBeGreaterThan(token);
      await until(a, async () => (await q.stats()).leased === 0);
      expect(await a.evaluate(() => takeAll())).toEqual(upTo(3));
    },
  },
  {
    fault: `${MANY} tabs start at once`,
    checks: "one hub, every call answered, nothing lost or doubled, no tab warned",
    // Most of it goes into starting their processes.
    limitMs: 120_000,
    spoils: true,
    async run({ openPage, enter, space }) {
      const tabs = [];
      for (let i = 0; i < MANY; i++) tabs.push(await openPage());
      const statuses = await Promise.all(tabs.map((tab) => enter(tab)));
      await Promise.all(tabs.map((tab, i) => tab.evaluate((from) => sendAll(10, { from, inFlight: 5 }), i * 10)));
      const epochs = await Promise.all(tabs.map((tab) => tab.evaluate(() => backend.status.epoch)));
      expect(new Set(epochs).size).toBe(1);
      expect(statuses.length).toBe(MANY);
      expect(await tabs[0]!.evaluate((name) => hubsAlive(name), space)).toBe(1);
      const taken = await Promise.all(tabs.map((tab) => tab.evaluate(() => takeAll())));
      expect(taken.flat().sort((x, y) => x - y)).toEqual(upTo(MANY * 10));
      expect((await Promise.all(tabs.map((tab) => tab.evaluate(() => warnings)))).flat()).toEqual([]);
    },
  },
  {
    fault: "no worker at all",
    checks: "a tab alone: works, says that nothing is durable, one warning",
    modes: ["single-tab"],
    async run({ openTab }) {
      const a = await openTab();
      expect(await a.evaluate(() => backend.status.durable)).toBe(false);
      await a.evaluate(() => sendAll(20, { inFlight: 5 }));
      expect(await a.evaluate(() => takeAll())).toEqual(upTo(20));
      expect(await a.evaluate(() => m.acquire("r").then((lock) => lock!.token))).toBeGreaterThan(0);
    },
  },
];
