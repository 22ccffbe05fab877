import { expect } from "vitest";
import { LONG_MS, type Scenario, upTo } from "../scenario.js";
import { until } from "../stage.js";

export const storage: readonly Scenario[] = [
  {
    fault: "the browser ends and starts again, twice",
    checks: "what was not acknowledged is there, in order, and nothing else; a topic's log too",
    simulated: (engine) =>
      engine === "webkit"
        ? "nothing is: but WebKitGTK keeps no storage under automation, so this one is killed and runs without"
        : undefined,
    async run(stage) {
      let browser = await stage.launch({ onDisk: true });
      const a = await stage.openTab({ browser });
      await a.evaluate(async (leaseMs) => {
        await sendAll(100, { inFlight: 20 });
        for (const message of await q.recvMany({ max: 10 })) await message.ack();
        await q.recvMany({ max: 10, leaseMs });
        await t.pub({ data: "before" });
      }, LONG_MS);
      for (let round = 1; round <= 2; round++) {
        browser = await stage.restart(browser);
        const tab = await stage.openTab({ browser });
        const found = await tab.evaluate(async () => {
          const waiting = await q.recvMany({ max: 300 });
          const event = await t.reader("g").recv({ timeoutMs: 1000 });
          return { waiting: waiting.map(({ data: { i } }) => i), event: event?.data, stats: await q.stats() };
        });
        expect([...found.waiting].sort((x, y) => x - y)).toEqual(upTo(90, 10));
        // Sent by twenty at once: in the order in which they were accepted, which is the same each time.
        expect(found.event).toBe("before");
        expect(found.stats).toMatchObject({ depth: 90, leased: 90 });
      }
    },
  },
  {
    fault: "the disk is full, in the middle of a batch",
    checks:
      "what has no room is refused with QUOTA, alone; reads and acks go on; nothing accepted is lost; no new epoch",
    simulated: () => "the database refuses records above a size",
    async run(stage) {
      const a = await stage.openTab({ steered: {} });
      await a.evaluate(() => sendAll(20, { inFlight: 1 }));
      const before = await a.evaluate(() => backend.status.epoch);
      await stage.steer(a, { faults: { full: 20_000 } });
      const outcomes = await a.evaluate(async () => {
        const messages = await q.recvMany({ max: 5 });
        const big = { i: 99, text: "x".repeat(30_000) };
        return Promise.all([
          ...messages.map((message) => message.ack()),
          codeOf(q.send({ data: big })),
          codeOf(q.send({ data: big })),
          q.stats().then(({ dead }) => dead),
        ]);
      });
      expect(outcomes).toEqual([true, true, true, true, true, "QUOTA", "QUOTA", 0]);
      await stage.steer(a, { faults: { full: false } });
      // A hub that had no room tries again only after a while.
      await until(a, async () => (await codeOf(q.send({ data: { i: 20 } }))) === null);
      expect(await a.evaluate(() => backend.status.epoch)).toBe(before);
      await stage.endHub(a);
      expect(await a.evaluate(() => takeAll())).toEqual(upTo(16, 5));
    },
  },
  {
    fault: "commits fail with turns waiting",
    checks: "the handle is opened again; every call has its effect once, in order",
    simulated: () => "the database throws InvalidStateError, as Safari's does after its connection was lost",
    async run(stage) {
      const a = await stage.openTab({ steered: {} });
      for (let round = 0; round < 3; round++) {
        await stage.steer(a, { faults: { failCommits: round + 1 } });
        await a.evaluate((from) => sendAll(30, { from, inFlight: 1 }), round * 60);
        await stage.steer(a, { faults: { failCommits: round + 1 } });
        await a.evaluate((from) => sendAll(30, { from, inFlight: 30 }), round * 60 + 30);
      }
      await stage.endHub(a);
      expect(await a.evaluate(() => takeAll())).toEqual(upTo(180));
    },
  },
  {
    fault: "the hub ends between slices of a checkpoint",
    checks: "the next hub has everything, in order",
    simulated: () => "the worker ends when a slice is on disk",
    async run(stage) {
      const a = await stage.openTab({ steered: {} });
      for (let round = 0; round < 2; round++) {
        const before = await a.evaluate(() => backend.status.epoch);
        await stage.steer(a, { faults: { dieAfterSlices: round + 1 } });
        await a.evaluate((from) => sendAll(300, { from, inFlight: 100 }), round * 300);
        // Checkpoints begin when the hub has been idle for a while: nothing is asked of it.
        await until(a, (epoch) => backend.status.epoch !== epoch, before);
      }
      expect(await a.evaluate(() => takeAll())).toEqual(upTo(600));
    },
  },
  {
    fault: "the database is deleted under the hub",
    checks: "the deletion is not held up; tabs learn of it (storage-deleted, new epoch); what comes next is kept",
    async run(stage) {
      const [a, b] = [await stage.openTab({ steered: {} }), await stage.openTab({ steered: {} })];
      await a.evaluate(() => sendAll(5, { inFlight: 1 }));
      const before = await a.evaluate(() => backend.status.epoch);
      await b.evaluate(
        (name) =>
          new Promise<void>((resolve, reject) => {
            const deleting = indexedDB.deleteDatabase(name);
            deleting.onsuccess = () => resolve();
            deleting.onerror = () => reject(deleting.error!);
          }),
        `tabloom:${stage.space}`,
      );
      for (const tab of [a, b]) {
        await until(tab, () => resets.includes("storage-deleted"));
        await until(tab, (epoch) => backend.status.epoch !== epoch, before);
      }
      await a.evaluate(() => sendAll(3, { from: 10, inFlight: 1 }));
      await stage.endHub(a);
      expect(await b.evaluate(() => takeAll())).toEqual(upTo(3, 10));
    },
  },
  {
    fault: "another build wants to change the layout of the database",
    checks: "the hub lets go at once; its tabs are told to upgrade, nothing of theirs is lost",
    spoils: true,
    async run({ openTab, space }) {
      const a = await openTab();
      await a.evaluate(() => sendAll(5, { inFlight: 1 }));
      const journaled = await a.evaluate(
        (name) =>
          new Promise<number>((resolve, reject) => {
            const opening = indexedDB.open(name, 10_000);
            opening.onerror = () => reject(opening.error!);
            opening.onsuccess = () => {
              const database = opening.result;
              const records = database.transaction("journal").objectStore("journal").count();
              const rows = database.transaction("rows").objectStore("rows").count();
              rows.onsuccess = () => {
                database.close();
                resolve(records.result + rows.result);
              };
            };
          }),
        `tabloom:${space}`,
      );
      expect(journaled).toBeGreaterThanOrEqual(5);
      await until(a, () => (backend.status as { upgradeRequired?: boolean }).upgradeRequired === true);
      expect(await a.evaluate(() => codeOf(q.send({ data: { i: 9 } })))).toBe("VERSION");
    },
  },
  {
    fault: "private windows",
    checks: "tabs share a hub; what the hub says of durability is true for as long as the window lives",
    simulated: (engine) =>
      engine === "webkit" ? "nothing is: WebKitGTK under automation always is private" : undefined,
    async run(stage) {
      const browser = await stage.launch({ privately: true });
      const [a, b] = [await stage.openTab({ browser, steered: {} }), await stage.openTab({ browser, steered: {} })];
      await a.evaluate(() => sendAll(20, { inFlight: 1 }));
      stage.remark(`durable: ${String(await a.evaluate(() => backend.status.durable))}`);
      await stage.steer(a, { close: true });
      expect(await b.evaluate(() => takeAll())).toEqual(upTo(20));
    },
  },
  {
    fault: "storage is blocked",
    checks: "memory only, and said so; one warning; strict instances are refused; the rest works",
    simulated: () => "indexedDB.open throws SecurityError",
    async run({ openTab }) {
      const a = await openTab({ steered: { noStorage: "1" } });
      expect(await a.evaluate(() => backend.status.durable)).toBe(false);
      await a.evaluate(() => sendAll(20, { inFlight: 5 }));
      expect(await a.evaluate(() => takeAll())).toEqual(upTo(20));
      const strict = await a.evaluate(() =>
        codeOf(tabloom.queue({ id: "strict", schema: anything, durability: "strict" }).send({ data: { i: 1 } })),
      );
      expect(["STORAGE", "UNAVAILABLE"]).toContain(strict);
    },
  },
];
