import { describe, expect, test } from "vitest";
import { until } from "./support/browser.js";
import { MODES, setStage } from "./support/stage.js";

describe.each(MODES)("%s", (mode) => {
  const stage = setStage({ mode });
  const { openTab } = stage;

  describe("a hub that dies", () => {
    test("calls under way have one effect, also with an idempotency key, and keep their order", async () => {
      const a = await openTab();
      for (let round = 0; round < 5; round++) {
        const sending = a.evaluate(async (from) => {
          const sends = Array.from({ length: 300 }, (_, i) =>
            q.send({ data: { i: from + i }, ...(i % 10 === 0 ? { idempotencyKey: `key-${i}` } : {}) }),
          );
          return (await Promise.all(sends)).filter(({ duplicate }) => duplicate).length;
        }, round * 1000);
        await stage.profile.killHubs();
        expect(await sending).toBe(round === 0 ? 0 : 30);
      }
      const got = await a.evaluate(async () =>
        (await q.recvMany({ max: 1000 }))
          .concat(await q.recvMany({ max: 1000, wait: false }))
          .map(({ data }) => data.i),
      );
      const want = Array.from({ length: 5 }, (_, round) =>
        Array.from({ length: 300 }, (_, i) => ({ i, round }))
          .filter(({ i }) => round === 0 || i % 10 !== 0)
          .map(({ i }) => round * 1000 + i),
      ).flat();
      expect(got).toEqual(want);
    });

    test("parked calls go on waiting at the next hub, and a live listener misses nothing", async () => {
      const [a, b] = [await openTab(), await openTab()];
      const parked = b.evaluate(async () => (await q.recv({ timeoutMs: 20_000 }))?.data);
      await b.evaluate(async () => {
        globalThis.seen = [];
        const live = t.live();
        void (async () => {
          for await (const event of live) seen.push(event.data);
        })();
        await t.latestCursor();
      });
      for (let i = 0; i < 3; i++) {
        await a.evaluate((data) => t.pub({ data }), i);
        await stage.profile.killHubs();
      }
      await a.evaluate(() => t.pub({ data: 3 }));
      await a.evaluate(() => q.send({ data: { i: 5 } }));
      expect(await parked).toEqual({ i: 5 });
      await until(b, () => seen.length >= 4);
      expect(await b.evaluate(() => seen)).toEqual([0, 1, 2, 3]);
    });

    test("a delivery that was handed out before is settled at the next hub", async () => {
      const a = await openTab();
      await a.evaluate(() => sendAll(2, { inFlight: 1 }));
      const settled = a.evaluate(async () => {
        const [first, second] = await q.recvMany({ max: 2 });
        await new Promise((resolve) => setTimeout(resolve, 300));
        return [await first!.ack(), await second!.touch({ leaseMs: 60_000 }), await second!.ack(), await second!.ack()];
      });
      await until(a, async () => (await q.stats()).leased === 2);
      await stage.profile.killHubs();
      expect(await settled).toEqual([true, true, true, false]);
    });

    test("a recv that was given up while its hub died hands back what it had been given", async () => {
      const a = await openTab({ steer: true });
      const given = await a.evaluate(async () => {
        const giveUp = new AbortController();
        await q.send({ data: { i: 1 } });
        // The hub runs the claim when it has hung; by then nobody waits for it any more.
        steering.postMessage({ hangMs: 1000 });
        await new Promise((resolve) => setTimeout(resolve, 100));
        const parked = q.recv({ signal: giveUp.signal });
        await new Promise((resolve) => setTimeout(resolve, 100));
        giveUp.abort();
        return parked;
      });
      expect(given).toBeNull();
      await a.waitForTimeout(900);
      await stage.profile.killHubs();
      const again = await a.evaluate(async () => {
        const message = await q.recv({ timeoutMs: 5000 });
        return { data: message?.data, attempt: message?.attempt };
      });
      expect(again).toEqual({ data: { i: 1 }, attempt: 1 });
    });

    test("memory-only state is gone: the status shows another epoch, and it starts empty", async () => {
      const a = await openTab({ queue: { durability: "memory" } });
      await a.evaluate(() => sendAll(3));
      const before = await a.evaluate(() => backend.status.epoch);
      await stage.profile.killHubs();
      expect(await a.evaluate(async () => (await q.stats()).depth)).toBe(0);
      expect(await a.evaluate(() => backend.status.epoch)).not.toBe(before);
    });

    test("a memory-only call under way may have run: it says EPOCH_CHANGED", async () => {
      const a = await openTab({ queue: { durability: "memory" }, steer: true });
      const outcome = a.evaluate(async () => {
        // The hub hangs with the call in its inbox, and dies.
        steering.postMessage({ hangMs: 10_000 });
        await new Promise((resolve) => setTimeout(resolve, 100));
        return q.send({ data: { i: 1 } }).catch((error: unknown) => (error as { code: string }).code);
      });
      await a.waitForTimeout(250);
      await stage.profile.killHubs();
      expect(await outcome).toBe("EPOCH_CHANGED");
    });
  });

  describe("a lock", () => {
    test("is kept by the next hub, however much else its tab has to tell it", async () => {
      const [holder, rival] = [await openTab(), await openTab()];
      const token = await holder.evaluate(async () => {
        // Opened again at every hub, and before the lock is told.
        const others = Array.from({ length: 600 }, (_, i) => tabloom.mutex({ id: `other ${i}` }));
        await Promise.all(others.map((other) => other.stats()));
        globalThis.m = tabloom.mutex({ id: "m", defaultTtl: 600_000 });
        globalThis.lock = (await m.acquire("r"))!;
        return lock.token;
      });
      const next = rival.evaluate(async () => {
        const lock = await tabloom.mutex({ id: "m" }).acquire("r", { waitMs: 60_000 });
        return lock?.token;
      });
      for (let round = 0; round < 5; round++) {
        await stage.profile.killHubs();
        expect(await holder.evaluate(() => m.extend(lock))).toBe(true);
      }
      await holder.evaluate(() => m.release(lock));
      expect(await next).toBeGreaterThan(token);
    });
  });
});

describe("in SharedWorkers", () => {
  const stage = setStage();
  const { openTab } = stage;

  describe("hub after hub", () => {
    test("what one hub left in the journal survives the checkpoints of those after it", async () => {
      const a = await openTab();
      for (let round = 0; round < 3; round++) {
        await a.evaluate((from) => sendAll(5, { from, inFlight: 1 }), round * 5);
        await stage.profile.killHubs();
        // A hub checkpoints when it has been idle for half a second.
        await a.evaluate(() => q.stats());
        await a.waitForTimeout(900);
      }
      await stage.restart();
      const again = await openTab();
      const found = await again.evaluate(async () => (await q.recvMany({ max: 100 })).map(({ data }) => data.i));
      expect(found).toEqual(Array.from({ length: 15 }, (_, i) => i));
    });
  });

  describe("a hub that is dead before it answers", () => {
    test("is given up for the next one without a warning, and what was sent to it has one effect", async () => {
      const a = await stage.profile.open(stage.site.origin);
      const warnings: string[] = [];
      a.on("console", (message) => message.type() === "warning" && warnings.push(message.text()));
      const dialled = await a.evaluate(async () => {
        let dials = 0;
        // The first three times as if it had died right after it was started.
        const worker = ({ name }: { name: string }): SharedWorker =>
          ++dials <= 3
            ? new SharedWorker("/e2e/pages/deaf-hub.js", { type: "module", name: `deaf ${dials}` })
            : new SharedWorker("/dist/worker.js", { type: "module", name });
        join("test", { worker });
        await q.send({ data: { i: 1 } });
        return dials;
      });
      expect(dialled).toBeGreaterThan(3);
      expect(await a.evaluate(async () => (await q.stats()).depth)).toBe(1);
      expect(warnings).toEqual([]);
    });

    test("may also be slow: the first answer counts, however often it was asked", async () => {
      const [first, second] = [await openTab({ steer: true }), await stage.profile.open(stage.site.origin)];
      await first.evaluate(async () => {
        steering.postMessage({ hangMs: 1500 });
        await new Promise((resolve) => setTimeout(resolve, 100));
      });
      const depth = await second.evaluate(async () => {
        join("test", { steer: true });
        await q.send({ data: { i: 1 } });
        return (await q.stats()).depth;
      });
      expect(depth).toBe(1);
      expect(await first.evaluate(async () => (await q.recv())?.data)).toEqual({ i: 1 });
    });
  });

  describe("a hub that is alive and answers nothing", () => {
    test("is replaced by one of the next generation; when it wakes it cannot write", async () => {
      const a = await openTab({ steer: true });
      await a.evaluate(() => sendAll(3, { inFlight: 1 }));
      const took = await a.evaluate(async () => {
        // Long enough to be given up: a ping, three attempts, and two pings of the next hub.
        steering.postMessage({ hangMs: 15_000, hub: ".g1" });
        await new Promise((resolve) => setTimeout(resolve, 100));
        const start = performance.now();
        // Now in the inbox of the hub that hangs. It will run it when it wakes.
        const sent = q.send({ data: { i: 99 } });
        document.dispatchEvent(new Event("visibilitychange"));
        await sent;
        return performance.now() - start;
      });
      console.log(`replaced a hub that hung in ${Math.round(took)} ms`);
      // The first hub wakes with that call in its inbox, runs it in a memory that is not the truth any more, and fails.
      await a.waitForTimeout(Math.max(0, 15_500 - took) + 1000);
      await a.evaluate(() => q.send({ data: { i: 100 } }));
      const found = await a.evaluate(async () => (await q.recvMany({ max: 10 })).map(({ data }) => data.i));
      expect(found).toEqual([0, 1, 2, 99, 100]);
      // What is on disk says the same.
      await stage.restart();
      const again = await openTab();
      expect(await again.evaluate(async () => (await q.recvMany({ max: 10 })).map(({ data }) => data.i))).toEqual([
        0, 1, 2, 99, 100,
      ]);
    });
  });

  describe("a worker file that is not there", () => {
    test("is named in one warning, with what to do", async () => {
      const a = await stage.profile.open(stage.site.origin);
      const warned = a.waitForEvent("console", (message) => message.type() === "warning");
      await a.evaluate(() => {
        tabloom.connect({
          space: "test",
          worker: ({ name }) => new SharedWorker("/nowhere.js", { type: "module", name }),
        });
        tabloom
          .queue({ id: "q", schema: anything })
          .stats()
          .catch(() => {});
      });
      expect((await warned).text()).toMatch(/script could not be loaded.*docs\/worker\.md/);
    });
  });

  describe("the disk is full", () => {
    test("sends reject with QUOTA, nothing acknowledged is lost, and the hub goes on", async () => {
      const a = await stage.profile.open(stage.site.origin);
      const session = await stage.profile.context.newCDPSession(a);
      const setQuota = (quotaSize?: number): Promise<unknown> =>
        session.send("Storage.overrideQuotaForOrigin", {
          origin: stage.site.origin,
          ...(quotaSize ? { quotaSize } : {}),
        });
      // Before the first write: Chromium remembers for half a minute how much room there was.
      await setQuota(2_000_000);
      await a.evaluate(() => {
        join("test");
        return sendAll(20, { inFlight: 1 });
      });

      const full = await a.evaluate(async () => {
        const accepted: number[] = [];
        let refused: unknown;
        // Random, for the database compresses.
        const noise = (): string =>
          Array.from(crypto.getRandomValues(new Uint8Array(45_000)), (byte) => byte.toString(16)).join("");
        for (let i = 100; i < 200 && refused === undefined; i++) {
          try {
            await q.send({ data: { i }, meta: noise() });
            accepted.push(i);
          } catch (error) {
            refused = {
              code: (error as { code: string }).code,
              retryable: (error as { retryable: boolean }).retryable,
            };
          }
        }
        return { accepted, refused, epoch: backend.status.epoch, depth: (await q.stats()).depth };
      });
      expect(full.refused).toEqual({ code: "QUOTA", retryable: true });
      expect(full.accepted.length).toBeGreaterThan(0);
      expect(full.depth).toBe(20 + full.accepted.length);

      // Reads, acknowledgements and removals go on; sends among them are refused one by one.
      const mixed = await a.evaluate(async () => {
        const messages = await q.recvMany({ max: 10 });
        const outcomes = await Promise.all([
          ...messages.map((message) => message.ack()),
          ...[1, 2, 3].map(() =>
            q.send({ data: { i: 0 }, meta: "x".repeat(100_000) }).catch((error: { code: string }) => error.code),
          ),
        ]);
        return { outcomes, epoch: backend.status.epoch, depth: (await q.stats()).depth };
      });
      expect(mixed.outcomes).toEqual([...Array.from({ length: 10 }, () => true), "QUOTA", "QUOTA", "QUOTA"]);
      expect(mixed.depth).toBe(full.depth - 10);
      expect(mixed.epoch).toBe(full.epoch);

      // Room again: after the probe interval sends are accepted, without a reload.
      await setQuota();
      await until(a, () =>
        q.send({ data: { i: 500 } }).then(
          () => true,
          () => false,
        ),
      );

      await stage.restart();
      const again = await openTab();
      const kept = await again.evaluate(async () => (await q.recvMany({ max: 500 })).map(({ data }) => data.i));
      const acknowledged = Array.from({ length: 10 }, (_, i) => i);
      expect(kept).toEqual(
        [...Array.from({ length: 20 }, (_, i) => i), ...full.accepted, 500].filter((i) => !acknowledged.includes(i)),
      );
    });
  });
});
