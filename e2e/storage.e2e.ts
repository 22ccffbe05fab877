/** The storage under the hub: deleted, lost, older, newer, not there. What no browser does on demand is done at its edge. */
import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { until } from "./support/browser.js";
import { setStage } from "./support/stage.js";
import { openDatabase, watchBackend } from "./support/storage.js";

const stage = setStage();
const { openTab } = stage;

/** A tab whose hub has a storage that can be made to fail. */
async function openFaulty(faults: object = {}): Promise<Page> {
  const page = await stage.profile.open(stage.site.origin);
  await page.evaluate(watchBackend);
  await page.evaluate((given) => {
    const workerUrl = `/e2e/pages/faulty-storage-hub.js?faults=${encodeURIComponent(JSON.stringify(given))}`;
    join("test", { workerUrl, ...watched });
  }, faults);
  return page;
}

/** Makes the hub's storage fail from now on; resolves with how often a database was opened until then. */
async function fail(page: Page, faults: object): Promise<number> {
  return page.evaluate((given) => {
    const channel = new BroadcastChannel("storage-faults");
    const done = new Promise<number>((resolve) => (channel.onmessage = ({ data }) => resolve(data.opened as number)));
    channel.postMessage(given);
    return done.finally(() => channel.close());
  }, faults);
}

const depth = (page: Page): Promise<number> => page.evaluate(async () => (await q.stats()).depth);
const epoch = (page: Page): Promise<string> => page.evaluate(() => backend.status.epoch);

describe("the site's data is deleted under the hub", () => {
  const ways = {
    "by a page": (page: Page) =>
      page.evaluate(
        () =>
          new Promise<void>((resolve) => {
            indexedDB.deleteDatabase("tabloom:test").onsuccess = () => resolve();
          }),
      ),
    "by the user": async (page: Page) => {
      const session = await stage.profile.context.newCDPSession(page);
      await session.send("Storage.clearDataForOrigin", { origin: stage.site.origin, storageTypes: "indexeddb" });
    },
  };
  for (const [how, remove] of Object.entries(ways)) {
    test(`${how}: the app hears of it, calls under way are answered, and nothing old comes back`, async () => {
      const a = await stage.profile.open(stage.site.origin);
      await a.evaluate(watchBackend);
      await a.evaluate(() => join("test", watched));
      await a.evaluate(() => sendAll(20));
      // Rows and records both: a hub checkpoints when it was idle for half a second.
      await a.waitForTimeout(900);
      await a.evaluate(() => sendAll(20, { from: 20 }));
      const before = await epoch(a);
      const sending = a.evaluate(async () => {
        const refused: string[] = [];
        const one = async (i: number): Promise<void> => {
          await new Promise((resolve) => setTimeout(resolve, i));
          await q.send({ data: { i: 1000 + i } }).catch((error: Error) => refused.push(String(error)));
        };
        await Promise.all(Array.from({ length: 300 }, (_, i) => one(i)));
        return refused;
      });
      await a.waitForTimeout(50);
      await remove(a);
      expect(await sending).toEqual([]);
      await until(a, () => resets.length > 0);
      expect(await a.evaluate(() => resets)).toEqual(["storage-deleted"]);
      expect(await epoch(a)).not.toBe(before);
      await a.evaluate(() => q.send({ data: { i: 5000 } }));
      await stage.restart();
      const b = await openTab();
      const found = await b.evaluate(async () => (await q.recvMany({ max: 1000 })).map(({ data }) => data.i));
      expect(found.filter((i) => i < 1000)).toEqual([]);
      expect(found.at(-1)).toBe(5000);
    });
  }

  test("a tab that slept through it learns it from the next hub", async () => {
    const a = await openFaulty();
    await a.evaluate(() => sendAll(3));
    // Nobody is told: not the old hub, which is dead, and not the next, which finds an empty place.
    await fail(a, { open: ["UnknownError", "not now"], dead: true });
    await stage.profile.killWorkers();
    await ways["by a page"](a);
    await until(a, async () => (await q.stats()).depth === 0);
    await until(a, () => resets.length > 0);
    expect(await a.evaluate(() => resets)).toEqual(["storage-deleted"]);
  });
});

describe("a handle that dies", () => {
  for (const tx of ["never begun", "committed, unheard"]) {
    test(`under an append that was ${tx}: one effect, and no new epoch`, async () => {
      const a = await openFaulty();
      await a.evaluate(() => sendAll(3, { inFlight: 1 }));
      const before = await epoch(a);
      for (let round = 0; round < 3; round++) {
        await fail(a, { tx });
        const sent = await a.evaluate((i) => q.send({ data: { i } }), 10 + round);
        expect(sent.duplicate).toBe(false);
      }
      expect(await epoch(a)).toBe(before);
      expect(await a.evaluate(() => resets)).toEqual([]);
      await stage.profile.killWorkers();
      const found = await a.evaluate(async () => (await q.recvMany({ max: 10 })).map(({ data }) => data.i));
      expect(found).toEqual([0, 1, 2, 10, 11, 12]);
    });
  }

  test("is found by the look of a tab that comes to the front, before anybody calls", async () => {
    const a = await openFaulty();
    await a.evaluate(() => sendAll(3));
    const before = await epoch(a);
    const opened = await fail(a, { dead: true });
    await a.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
    while ((await fail(a, {})) === opened) await a.waitForTimeout(20);
    await a.evaluate(() => q.send({ data: { i: 3 } }));
    expect([await depth(a), await epoch(a)]).toEqual([4, before]);
  });

  test("without a word is given up after such a look: what waited for it is done through another", async () => {
    const a = await openFaulty();
    await a.evaluate(() => sendAll(3));
    const before = await epoch(a);
    await fail(a, { tx: "silent" });
    const sent = a.evaluate(() => q.send({ data: { i: 3 } }));
    await a.waitForTimeout(100);
    await a.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
    expect((await sent).duplicate).toBe(false);
    expect([await depth(a), await epoch(a)]).toEqual([4, before]);
  });
});

describe("a storage that cannot be opened just now", () => {
  test("is tried again; calls wait, the status says why, and so does the error of a call that waits in vain", async () => {
    const a = await openFaulty({ open: ["UnknownError", "Internal error opening backing store"] });
    const warnings: string[] = [];
    a.on("console", (message) => message.type() === "warning" && warnings.push(message.text()));
    const [sent, inVain] = await a.evaluate(async () => {
      const send = (i: number): Promise<unknown> =>
        q.send({ data: { i } }).then(
          () => "sent",
          (error: Error) => error.message,
        );
      const first = await send(1);
      return [first, backend.status];
    });
    expect(sent).toMatch(/no answer to .* in time: .*Internal error opening backing store/);
    expect(inVain).toMatchObject({ state: "failed", durable: false });
    expect(warnings.filter((text) => text.includes("Internal error"))).toHaveLength(1);
    const again = a.evaluate(() => q.send({ data: { i: 2 } }));
    await a.waitForTimeout(200);
    await fail(a, { open: undefined });
    await again;
    const status = await a.evaluate(() => backend.status);
    expect(status).toMatchObject({ state: "ready", durable: true });
    expect(status.problem).toBeUndefined();
  });

  test("that was there before is not taken for a place without one", async () => {
    const a = await openFaulty();
    await a.evaluate(() => sendAll(3));
    await fail(a, { open: ["SecurityError", "no"], dead: true });
    const sent = a.evaluate(() => q.send({ data: { i: 3 } }));
    await until(a, () => backend.status.state === "failed");
    await fail(a, { open: undefined });
    await sent;
    expect(await depth(a)).toBe(4);
  });
});

describe("a place without storage", () => {
  const places = {
    "without IndexedDB": { missing: true },
    "where its name throws": { forbidden: true },
    "where opening is refused": { open: ["SecurityError", "The operation is insecure."] },
    "a private window of older browsers": { open: ["InvalidStateError", "mutation not allowed"] },
    "with site data blocked": { open: ["UnknownError", "The user denied permission to access the database."] },
  };
  for (const [name, faults] of Object.entries(places)) {
    test(`${name}: everything in memory, one warning that says why, and strict is refused`, async () => {
      const warnings: string[] = [];
      const page = await openFaulty(faults);
      page.on("console", (message) => message.type() === "warning" && warnings.push(message.text()));
      await page.evaluate(() => sendAll(3, { inFlight: 1 }));
      expect(await page.evaluate(async () => (await q.recvMany({ max: 3 })).map(({ data }) => data.i))).toEqual([
        0, 1, 2,
      ]);
      const status = await page.evaluate(() => backend.status);
      expect(status).toMatchObject({ state: "ready", durable: false });
      expect(status.problem).toMatch(/IndexedDB here/);
      expect(warnings.filter((text) => text.includes("IndexedDB here"))).toHaveLength(1);
      const refused = await page.evaluate(() =>
        tabloom
          .queue({ id: "strict", schema: anything, durability: "strict" })
          .send({ data: 1 })
          .catch((error: { code: string }) => error.code),
      );
      expect(refused).toBe("UNAVAILABLE");
    });
  }
});

describe("persist", () => {
  test("is asked for by those who want it, and the answer is in the status; stats tell how much room there is", async () => {
    const a = await openTab({ persist: true });
    await until(a, () => backend.status.persisted !== undefined);
    const stats = await a.evaluate(() => tabloom.inspect(backend).stats());
    expect(stats).toMatchObject({ durable: true, persisted: await a.evaluate(() => backend.status.persisted) });
    expect(stats.usageBytes).toBeGreaterThan(0);
    expect(stats.quotaBytes).toBeGreaterThan(stats.usageBytes!);
    const b = await openTab();
    expect(await b.evaluate(() => backend.status.persisted)).toBeUndefined();
  });
});

describe("versions of the layout", () => {
  test("a database of version 1, made by hand, is there with all that it holds", async () => {
    const a = await stage.profile.open(stage.site.origin);
    await a.evaluate(openDatabase);
    await a.evaluate(makeVersion1);
    await a.evaluate(() => {
      join("test");
      return q.send({ data: { i: 5 } });
    });
    const found = await a.evaluate(async () => (await q.recvMany({ max: 10 })).map(({ data, meta }) => [data.i, meta]));
    expect(found).toEqual([
      [1, undefined],
      [2, undefined],
      [7, { m: 1 }],
      [5, undefined],
    ]);
    expect((await a.evaluate(() => indexedDB.databases())).find(({ name }) => name === "tabloom:test")?.version).toBe(
      (await import("../src/protocol/names.js")).SCHEMA * 10,
    );
  });

  test("an older build that has it open is asked to let go; the status says so until it does", async () => {
    const a = await stage.profile.open(stage.site.origin);
    await a.evaluate(openDatabase);
    await a.evaluate(watchBackend);
    await a.evaluate(makeVersion1);
    const sent = a.evaluate(async () => {
      // As a tab of an older build that is too busy, or asleep, to hear that somebody waits.
      globalThis.held = await openIt("tabloom:test", 10);
      globalThis.asked = new Promise((resolve) => {
        new BroadcastChannel("tabloom:test:control").addEventListener("message", ({ data }) => {
          const text = JSON.stringify(data);
          if (text.includes("wanted")) resolve(text);
        });
      });
      join("test", watched);
      return q.send({ data: { i: 5 } });
    });
    await until(a, () => globalThis.backend?.status.state === "blocked");
    expect(await a.evaluate(() => backend.status.problem)).toMatch(/older build/);
    expect(await a.evaluate(() => asked)).toMatch(/wanted/);
    await a.evaluate(() => held.close());
    await sent;
    expect(await a.evaluate(() => backend.status)).toMatchObject({ state: "ready", durable: true });
    expect(await depth(a)).toBe(4);
  });

  test("a newer build's database is not touched, and the tab is told to be reloaded", async () => {
    const a = await stage.profile.open(stage.site.origin);
    await a.evaluate(openDatabase);
    await a.evaluate(() =>
      openIt("tabloom:test", 990, ["meta", "journal", "rows", "pages", "more"]).then((it) => it.close()),
    );
    const refused = await a.evaluate(() => {
      join("test");
      return q
        .send({ data: { i: 1 } })
        .catch(({ code, message }: { code: string; message: string }) => [code, message]);
    });
    expect(refused).toEqual(["VERSION", expect.stringMatching(/reads storage up to version/)]);
    expect(await a.evaluate(() => backend.status.upgradeRequired)).toBe(true);
    const stored = await a.evaluate(async () =>
      (await indexedDB.databases()).find(({ name }) => name === "tabloom:test"),
    );
    expect(stored?.version).toBe(990);
  });

  test("a hub lets go when somebody wants to change the layout; what was under way is answered, once", async () => {
    const a = await openTab();
    await a.evaluate(openDatabase);
    const before = await epoch(a);
    const duplicates = await a.evaluate(async () => {
      const sends = Array.from({ length: 200 }, (_, i) => q.send({ data: { i } }));
      await sends[0];
      const more = Array.from({ length: 200 }, (_, i) => q.send({ data: { i: 200 + i } }));
      // Between this version and the next: this build can still read it.
      const it = await openIt("tabloom:test", 21);
      await new Promise((resolve) => setTimeout(resolve, 300));
      it.close();
      return (await Promise.all([...sends, ...more])).filter(({ duplicate }) => duplicate);
    });
    expect(duplicates).toEqual([]);
    const found = await a.evaluate(async () => (await q.recvMany({ max: 1000 })).map(({ data }) => data.i));
    expect(found).toEqual(Array.from({ length: 400 }, (_, i) => i));
    expect(await epoch(a)).not.toBe(before);
  });
});

/** As version 0.1 of the package left it: half in rows, half in the journal. */
async function makeVersion1(): Promise<void> {
  const it = await openIt("tabloom:test", 10, ["meta", "journal", "rows"]);
  const config = {
    ordering: "best_effort",
    payloadBytes: 131072,
    maxMessageAgeMs: 604800000,
    maxNackDelayMs: 604800000,
    dlqRetentionMs: 604800000,
    maxMessages: 0,
    maxDead: 10000,
    maxIdempotencyKeys: 100000,
    defaultLeaseMs: 30000,
    maxDeliveries: 10,
  };
  const name = { prefix: "", kind: "queue", tenantId: "default", id: "q" };
  const tx = it.transaction(["meta", "journal", "rows"], "readwrite");
  const message = (i: number, meta: string | null): unknown[] => [
    `01M7YVGQNE5FZ9AFBH0Q00000${i}`,
    JSON.stringify({ i }),
    7,
    Date.now(),
    0,
    5,
    null,
    meta,
  ];
  tx.objectStore("meta").put("SV7BVCC2HGP9NX1Y", "owner");
  const rows = tx.objectStore("rows");
  rows.put(JSON.stringify({ name, config, durability: "relaxed", seed: "54KH6J7B" }), "0i1");
  rows.put("8", "0s3XABNJ8BT3S5/1");
  rows.put(JSON.stringify(message(1, null)), "1m2");
  rows.put(JSON.stringify(message(2, null)), "1m3");
  tx.objectStore("journal").put(
    JSON.stringify([
      ["1m4", message(7, '{"m":1}')],
      ["0s3XABNJ8BT3S5/1", 9],
    ]),
    7,
  );
  await new Promise((resolve) => (tx.oncomplete = resolve));
  it.close();
}
