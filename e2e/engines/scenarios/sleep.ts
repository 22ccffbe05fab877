import { expect } from "vitest";
import type { Tab } from "../driver.js";
import { LONG_MS, type Scenario, upTo } from "../scenario.js";
import { type Stage, loaded, until, whyNotKept } from "../stage.js";

const HOUR_MS = 3_600_000;
const cannotFreeze = (engine: string): string | undefined =>
  engine === "chromium" ? undefined : `${engine} has no command to freeze a page`;

export const sleep: readonly Scenario[] = [
  {
    fault: "into the back/forward cache and back",
    checks: "what it held goes on at once; back again it hears what it missed, and calls under way finish",
    async run(stage) {
      const { openTab, elsewhere } = stage;
      // The second is the one that goes: in the elected mode the first has the hub.
      const [b, a] = [await openTab(), await openTab()];
      await a.evaluate(() => listen());
      await b.evaluate(() => sendAll(3, { inFlight: 1 }));
      await a.evaluate(async (leaseMs) => {
        await q.recvMany({ max: 2, leaseMs });
        given = (await m.acquire("r"))!;
        // Parked when the page goes, and still when it comes back.
        void tabloom
          .queue({ id: "later", schema: anything })
          .recv({ timeoutMs: 60_000 })
          .then((message: { data: unknown } | null) => heard.push(message!.data));
      }, LONG_MS);
      const token = await a.evaluate(() => given.token);
      await a.goTo(elsewhere);
      const next = await b.evaluate(async () => (await m.acquire("r", { waitMs: 20_000 }))?.token ?? 0);
      expect(next).toBeGreaterThan(token);
      await until(b, async () => (await q.stats()).leased === 0);
      expect(await b.evaluate(() => takeAll())).toEqual(upTo(3));
      await b.evaluate(() => t.pub({ data: "missed" }).then(() => {}));
      if (!(await comeBack(stage, a))) {
        await a.evaluate(() => sendAll(5, { inFlight: 1 }));
        expect(await b.evaluate(() => takeAll())).toEqual(upTo(5));
        return;
      }
      await until(a, () => heard.includes("missed"));
      await b.evaluate(() =>
        tabloom
          .queue({ id: "later", schema: anything })
          .send({ data: "parked" })
          .then(() => {}),
      );
      await until(a, () => heard.includes("parked"));
      expect(await a.evaluate(() => m.extend(given))).toBe(false);
      expect(await a.evaluate(() => heard)).toEqual(["missed", "parked"]);
      await a.evaluate(() => sendAll(5, { inFlight: 1 }));
      expect(await b.evaluate(() => takeAll())).toEqual(upTo(5));
    },
  },
  {
    fault: "the tab with the hub goes into the back/forward cache",
    checks: "the others go on at once; back again it works, nothing lost or doubled",
    modes: ["elected-tab"],
    async run(stage) {
      const { openTab, elsewhere } = stage;
      const [a, b] = [await openTab(), await openTab()];
      await a.evaluate(() => sendAll(5, { inFlight: 1 }));
      await a.goTo(elsewhere);
      await b.evaluate(() => sendAll(5, { from: 5, inFlight: 1 }));
      await comeBack(stage, a);
      await a.evaluate(() => sendAll(5, { from: 10, inFlight: 1 }));
      expect(await b.evaluate(() => takeAll())).toEqual(upTo(15));
    },
  },
  {
    fault: "the last tab goes into the back/forward cache, and another hub waits",
    checks: "the waiting hub gets the space at once; back again the tab sees what it did",
    async run(stage) {
      const { openTab, mode, elsewhere } = stage;
      const a = await openTab();
      await a.evaluate(() => sendAll(5, { inFlight: 1 }));
      const b = await openTab(mode === "shared-worker" ? { generation: 2 } : {});
      await a.goTo(elsewhere);
      await b.evaluate(() => sendAll(5, { from: 5, inFlight: 1 }));
      expect(await b.evaluate(() => q.stats())).toMatchObject({ depth: 10 });
      await comeBack(stage, a);
      expect(await a.evaluate(() => takeAll())).toEqual(upTo(10));
    },
  },
  {
    fault: "the only tab sleeps in the back/forward cache, and a new one is opened",
    checks: "the new one has its hub and everything in it; back again the first sees what it did",
    async run(stage) {
      const { openTab, elsewhere } = stage;
      const a = await openTab();
      await a.evaluate(() => sendAll(5, { inFlight: 1 }));
      await a.goTo(elsewhere);
      const b = await openTab();
      await b.evaluate(() => sendAll(5, { from: 5, inFlight: 1 }));
      await comeBack(stage, a);
      expect(await a.evaluate(() => takeAll())).toEqual(upTo(10));
    },
  },
  {
    fault: "the tab that started the hub is frozen, and wakes",
    checks: "the others go on; what the frozen one held is its own until its time is up; it works when it wakes",
    cannot: cannotFreeze,
    spoils: true,
    async run({ openTab, mode }) {
      const [a, b] = [await openTab(), await openTab()];
      await a.evaluate(() => sendAll(3, { inFlight: 1 }));
      await a.evaluate(async (leaseMs) => {
        globalThis.kept = (await q.recv({ leaseMs }))!;
      }, LONG_MS);
      await a.setFrozen(true);
      await b.evaluate(() => sendAll(3, { from: 3, inFlight: 1 }));
      expect(await b.evaluate(() => takeAll())).toEqual(upTo(5, 1));
      await a.setFrozen(false);
      expect(await a.evaluate(() => kept.ack()), `in ${mode}`).toBe(true);
      expect(await a.evaluate(() => q.stats())).toMatchObject({ depth: 0 });
    },
  },
  {
    fault: "the clock goes back by an hour, and on by two",
    checks: "back: leases and locks hold, nothing is silent; on: leases end once, a late acknowledgement is refused",
    simulated: () => "the hub's Date.now",
    async run(stage) {
      const [a, b] = [await stage.openTab({ steered: {} }), await stage.openTab({ steered: {} })];
      await b.evaluate(() => listen());
      await a.evaluate(() => sendAll(4, { inFlight: 1 }));
      await a.evaluate(async (leaseMs) => {
        globalThis.kept = (await q.recv({ leaseMs }))!;
        given = (await m.acquire("r", { ttl: leaseMs }))!;
      }, HOUR_MS / 2);
      await stage.steer(a, { stepMs: -HOUR_MS });
      await a.evaluate(() => t.pub({ data: "back" }).then(() => {}));
      await until(b, () => heard.length === 1);
      expect(await b.evaluate(async () => (await m.acquire("r", { waitMs: 0 })) === null)).toBe(true);
      expect(await b.evaluate(async () => (await q.stats()).leased)).toBe(1);
      expect(await b.evaluate(() => takeAll())).toEqual([1, 2, 3]);
      await stage.steer(a, { stepMs: 3 * HOUR_MS });
      await b.evaluate(() => t.pub({ data: "on" }).then(() => {}));
      await until(b, () => heard.length === 2);
      const again = await b.evaluate(async () => {
        const message = await q.recv({ timeoutMs: 20_000 });
        const lock = await m.acquire("r", { waitMs: 20_000 });
        return [message?.data.i, message?.attempt, await message?.ack(), lock!.token];
      });
      expect(again.slice(0, 3)).toEqual([0, 2, true]);
      expect(again[3]).toBeGreaterThan(await a.evaluate(() => given.token));
      expect(await a.evaluate(() => kept.ack())).toBe(false);
    },
  },
  {
    fault: "offline and online",
    checks:
      "tabs work on without the app's server; a hub that dies meanwhile is replaced when it is back; no call lost",
    simulated: () => "the app's server is stopped",
    async run(stage) {
      const [a, b] = [await stage.openTab({ steered: {} }), await stage.openTab({ steered: {} })];
      await stage.setOnline(false);
      await a.evaluate(() => sendAll(20, { inFlight: 5 }));
      expect((await b.evaluate(() => takeAll())).sort((x, y) => x - y)).toEqual(upTo(20));
      await stage.endHub(a);
      const sending = a.evaluate(() => sendAll(20, { from: 20, inFlight: 20 }).then(({ length }) => length));
      await stage.setOnline(true);
      expect(await sending).toBe(20);
      expect(await b.evaluate(() => takeAll())).toEqual(upTo(20, 20));
      const c = await stage.openPage();
      await loaded(c);
    },
  },
];

/**
 * Back from another page; false: loaded anew, and joined again. Firefox decides before it tells the page that it goes, and
 * keeps none that holds a Web Lock then or has a SharedWorker. Other browsers must have kept it.
 */
async function comeBack(stage: Stage, tab: Tab): Promise<boolean> {
  await tab.back();
  const reasons = await whyNotKept(tab);
  if (reasons === undefined) return true;
  if (stage.engine.name !== "firefox") throw new Error(`not kept in the back/forward cache: ${reasons}`);
  stage.remark("Firefox keeps no page that holds a Web Lock or has a SharedWorker: it is loaded anew");
  await stage.enter(tab);
  return false;
}
