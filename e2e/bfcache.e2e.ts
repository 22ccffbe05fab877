import { describe, expect, test } from "vitest";
import type { Tab } from "./engines/driver.js";
import { setSleepers, until } from "./support/sleepers.js";

const sleepers = setSleepers("/e2e/pages/blank.html");
const { openTab, leave, comeBack } = sleepers;

/** What is gone by then, somebody gave up: nothing else could have ended it. */
const LONG_MS = 24 * 3_600_000;

describe("a page in the back/forward cache", () => {
  test("holds nothing, and misses nothing when it comes back", async () => {
    const [sleeper, other] = [await openTab(), await openTab()];
    await other.evaluate(() => sendAll(2, { inFlight: 1 }));
    await sleeper.evaluate(async (long) => {
      await listenTo(t);
      globalThis.m = tabloom.mutex({ id: "m", defaultTtl: long });
      globalThis.lock = (await m.acquire("r"))!;
      // Its timer is one that a sleeping page must not mind.
      void lock.signal;
      sleep.taken = await q.recvMany({ max: 2, leaseMs: long });
      sleep.presence = tabloom.ephemeral({ id: "present", schema: anything, ttlMs: long });
      await sleep.presence.upsert({ key: "sleeper", value: 1, bound: "tab" });
      sleep.parked = tabloom.queue({ id: "later", schema: anything }).recv({ timeoutMs: 3_600_000 });
      await tabloom.queue({ id: "later", schema: anything }).stats();
    }, LONG_MS);
    await leave(sleeper);

    // Nothing of it holds anybody up, and nothing counts as a failure.
    const taken = await other.evaluate(async (long) => {
      globalThis.m = tabloom.mutex({ id: "m", defaultTtl: long });
      globalThis.lock = (await m.acquire("r", { waitMs: 10_000 }))!;
      const messages = [await q.recv({ timeoutMs: 10_000 }), await q.recv({ timeoutMs: 10_000 })];
      sleep.taken = messages as typeof sleep.taken;
      const present = await tabloom.ephemeral({ id: "present", schema: anything, ttlMs: long }).snapshot();
      return {
        lock: lock !== null,
        messages: messages.map((message) => ({ i: message?.data.i, attempt: message?.attempt })),
        waiters: (await tabloom.queue({ id: "later", schema: anything }).stats()).waiters,
        present: present.entries.length,
      };
    }, LONG_MS);
    expect(taken).toEqual({
      lock: true,
      messages: [
        { i: 0, attempt: 1 },
        { i: 1, attempt: 1 },
      ],
      waiters: 0,
      present: 0,
    });
    for (let i = 0; i < 3; i++) await publish(other, i);

    await comeBack(sleeper);
    await until(sleeper, () => seen.length === 3);
    await publish(other, 3);
    await until(sleeper, () => seen.length === 4);
    expect(await sleeper.evaluate(() => seen)).toEqual([0, 1, 2, 3]);
    // Its lock and its messages are others' now, and what it still does with them harms nobody.
    await until(sleeper, () => lock.signal.aborted);
    const late = await sleeper.evaluate(async () => ({
      acks: [await sleep.taken[0]!.ack(), await sleep.taken[1]!.nack()],
      extended: await m.extend(lock),
      released: await m.release(lock).then(() => true),
      present: (await sleep.presence.get({ key: "sleeper" }))?.value,
      status: { connected: backend.status.connected, incarnation: backend.status.tabId.split("/")[1] },
    }));
    expect(late).toEqual({
      acks: [false, false],
      extended: false,
      released: true,
      present: 1,
      status: { connected: true, incarnation: "2" },
    });
    expect(
      await other.evaluate(async () => [
        await m.extend(lock),
        await sleep.taken[0]!.ack(),
        await sleep.taken[1]!.ack(),
      ]),
    ).toEqual([true, true, true]);
    // The call that was parked all the time.
    await other.evaluate(() => void tabloom.queue({ id: "later", schema: anything }).send({ data: "at last" }));
    expect(await sleeper.evaluate(async () => (await sleep.parked)?.data)).toBe("at last");
  });

  test("finishes the calls that were under way when it left, each once", async () => {
    const [sleeper, other] = [await openTab(), await openTab()];
    for (let round = 1; round <= 5; round++) {
      await sleeper.evaluate((from) => {
        // Some reach the hub before the page is gone, some do not: the page leaves in the same task.
        sleep.sending = Promise.all(Array.from({ length: 300 }, (_, i) => q.send({ data: { i: from + i } })));
        addEventListener("pagehide", () => void sendAll(1, { from: from + 999 }), { once: true, capture: true });
      }, round * 1000);
      await leave(sleeper);
      await comeBack(sleeper);
      const ids = await sleeper.evaluate(
        async () => new Set((await sleep.sending).map(({ messageId }) => messageId)).size,
      );
      expect(ids).toBe(300);
      await until(other, async () => (await q.stats()).depth === 301);
      const got = await other.evaluate(async () => {
        const messages = await q.recvMany({ max: 301 });
        for (const message of messages) await message.ack();
        return messages.map(({ data }) => data.i);
      });
      expect(got).toEqual([...Array.from({ length: 300 }, (_, i) => round * 1000 + i), round * 1000 + 999]);
    }
  });

  test("comes back to another hub, when its own died meanwhile", async () => {
    const [sleeper, other] = [await openTab(), await openTab()];
    await sleeper.evaluate(async () => {
      await listenTo(t);
      await t.pub({ data: "before" });
      sleep.sending = Promise.all(Array.from({ length: 50 }, (_, i) => q.send({ data: { i } })));
    });
    await leave(sleeper);
    expect(await sleepers.browser.endWorkers()).toBe(1);
    await publish(other, "after");
    await comeBack(sleeper);
    await until(sleeper, () => seen.length === 2);
    expect(await sleeper.evaluate(() => seen)).toEqual(["before", "after"]);
    expect(await sleeper.evaluate(async () => (await sleep.sending).length)).toBe(50);
    expect(await other.evaluate(async () => (await q.recvMany({ max: 100 })).map(({ data }) => data.i))).toEqual(
      Array.from({ length: 50 }, (_, i) => i),
    );
  });

  test("goes on with its streams as often as it comes back", async () => {
    const [sleeper, other] = [await openTab(), await openTab()];
    await sleeper.evaluate(() => {
      globalThis.seen = [];
      void (async () => {
        for await (const message of q.stream()) {
          seen.push(message.data.i);
          await message.ack();
        }
      })();
    });
    for (let round = 0; round < 4; round++) {
      await other.evaluate((from) => sendAll(3, { from, inFlight: 1 }), round * 6);
      await until(sleeper, () => seen.length % 6 === 3);
      await leave(sleeper);
      await other.evaluate((from) => sendAll(3, { from, inFlight: 1 }), round * 6 + 3);
      await comeBack(sleeper);
      await until(sleeper, () => seen.length > 0 && seen.length % 6 === 0);
    }
    expect(await sleeper.evaluate(() => seen)).toEqual(Array.from({ length: 24 }, (_, i) => i));
    await until(other, async () => (await q.stats()).depth === 0);
  });

  test("is answered after its deadline, too: it slept, the hub did not", async () => {
    const sleeper = await openTab();
    const other = await openTab();
    await sleeper.evaluate(() => {
      // 30 s and more are over when the page wakes: the clock of deadlines is put forward, and the timer rings late.
      sleep.sending = Promise.all([1, 2].map((i) => q.send({ data: { i } })));
      const now = performance.now.bind(performance);
      addEventListener("pageshow", () => (performance.now = () => now() + 120_000), { once: true, capture: true });
    });
    await leave(sleeper);
    await comeBack(sleeper);
    expect(await sleeper.evaluate(async () => (await sleep.sending).length)).toBe(2);
    expect(await other.evaluate(async () => (await q.stats()).depth)).toBe(2);
  });
});

describe("the last tab of a hub goes into the back/forward cache", () => {
  test("and a hub of another worker file has the space at once", async () => {
    const sleeper = await openTab();
    await sleeper.evaluate(() => sendAll(3, { inFlight: 1 }));
    const other = await openTab({ workerUrl: "/dist/worker.js?another" });
    const epoch = await other.evaluate(() => backend.status.epoch);
    await leave(sleeper);
    const begun = Date.now();
    await other.evaluate(() => sendAll(3, { from: 3, inFlight: 1 }));
    console.log(`the waiting hub answered ${Date.now() - begun} ms after the last tab of the other had left`);
    expect(await other.evaluate(() => backend.status.epoch)).not.toBe(epoch);
    // Chromium may throw a page out whose frozen worker holds a lock that others wait for: then it is loaded again.
    await sleepers.back(sleeper);
    await sleeper.evaluate(() => {
      if (typeof q === "undefined") join("test");
      return sendAll(3, { from: 6, inFlight: 1 });
    });
    const got = await other.evaluate(async () => (await q.recvMany({ max: 20 })).map(({ data }) => data.i));
    expect(got).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test("and a new tab, of the same file, finds everything", async () => {
    const sleeper = await openTab();
    await sleeper.evaluate(() => sendAll(3, { inFlight: 1 }));
    await leave(sleeper);
    const other = await openTab();
    expect(await other.evaluate(async () => (await q.stats()).depth)).toBe(3);
    await comeBack(sleeper);
    expect(await sleeper.evaluate(async () => (await q.stats()).depth)).toBe(3);
  });
});

function publish(tab: Tab, data: unknown): Promise<void> {
  return tab.evaluate(async (given) => void (await t.pub({ data: given })), data);
}
