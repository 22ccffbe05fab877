import { describe, expect, test } from "vitest";
import { setStage } from "./support/stage.js";
import { buildHub } from "./support/broken-hub.js";

const stage = setStage();
const { openTab } = stage;

/** Sends in one tab, receives in the other. */
async function share(a: Awaited<ReturnType<typeof openTab>>, b: typeof a, i: number): Promise<void> {
  const got = b.evaluate(async () => {
    const message = await q.recv({ timeoutMs: 20_000 });
    await message?.ack();
    return message?.data;
  });
  await a.evaluate((n) => q.send({ data: { i: n } }), i);
  expect(await got).toEqual({ i });
}

const modeOf = (page: Awaited<ReturnType<typeof openTab>>) => page.evaluate(() => backend.status);

describe("without SharedWorkers", () => {
  test("one tab hosts the hub for all; when it dies another does, and nothing is lost", async () => {
    const [a, b, c] = [
      await openTab({ mode: "elected-tab" }),
      await openTab({ mode: "elected-tab" }),
      await openTab({ mode: "elected-tab" }),
    ];
    await share(a, b, 1);
    await share(b, a, 2);
    const epochs = await Promise.all([a, b, c].map(async (page) => (await modeOf(page)).epoch));
    expect(new Set(epochs).size).toBe(1);
    await b.evaluate(() => sendAll(50));
    await stage.profile.crash(a);
    expect(await c.evaluate(async () => (await q.recvMany({ max: 50 })).map(({ data }) => data.i))).toEqual(
      Array.from({ length: 50 }, (_, i) => i),
    );
    expect((await modeOf(c)).epoch).not.toBe(epochs[0]);
    expect(await modeOf(c)).toMatchObject({ mode: "elected-tab", durable: true, state: "ready", tabs: 2 });
  });

  test("frames of many megabytes arrive whole", async () => {
    const [a, b] = [await openTab({ mode: "elected-tab" }), await openTab({ mode: "elected-tab" })];
    const sizes = b.evaluate(async () => {
      const big = tabloom.queue({ id: "big", schema: anything, limits: { payloadBytes: 4_000_000 } });
      const text = (n: number) => String(n).repeat(3_000_000);
      await Promise.all([1, 2, 3, 4, 5].map((n) => big.send({ data: text(n) })));
      const got = await big.recvMany({ max: 5 });
      return got.map(({ data }, n) => (data as string) === text(n + 1));
    });
    expect(await sizes).toEqual([true, true, true, true, true]);
    expect(await a.evaluate(async () => (await q.stats()).ready)).toBe(0);
  });
});

describe("an app's own code in the worker beside a tab", () => {
  test("may throw: the hub goes on", async () => {
    const a = await stage.profile.open(stage.site.origin);
    const epochs = await a.evaluate(async () => {
      const dedicatedWorker = ({ name }: { name: string }): Worker =>
        new Worker("/e2e/pages/failing-hub.js", { type: "module", name });
      join("test", { mode: "elected-tab", dedicatedWorker });
      await q.send({ data: { i: 1 } });
      const before = backend.status.epoch;
      new BroadcastChannel("fail").postMessage("now");
      // Longer than it takes to end a hub and to start another.
      await new Promise((resolve) => setTimeout(resolve, 1000));
      await q.stats();
      return [before, backend.status.epoch];
    });
    expect(epochs[1]).toBe(epochs[0]);
  });

  test("a mode that there is not is refused at once", async () => {
    const a = await stage.profile.open(stage.site.origin);
    const code = await a.evaluate(() => {
      try {
        const handle = tabloom.queue({
          id: "q",
          schema: anything,
          backend: tabloom.connect({ mode: "worker" as "single-tab" }),
        });
        return handle.stats().then(
          () => "",
          (error: unknown) => (error as { name: string }).name,
        );
      } catch (error) {
        return (error as { name: string }).name;
      }
    });
    expect(code).toBe("ValidationError");
  });
});

describe("tabs of several ways", () => {
  test("a SharedWorker and an elected tab share one hub", async () => {
    const a = await openTab();
    const b = await openTab({ mode: "elected-tab" });
    await share(a, b, 1);
    await share(b, a, 2);
    expect(await modeOf(a)).toMatchObject({ mode: "shared-worker", tabs: 2 });
    await stage.profile.killWorkers();
    await share(a, b, 3);
  });

  test("two worker addresses share one hub: the second relays, and takes over when the first dies", async () => {
    const a = await openTab();
    const b = await openTab({ steer: true });
    await share(a, b, 1);
    await share(b, a, 2);
    await a.close();
    const c = await openTab();
    await share(c, b, 3);
    await share(b, c, 4);
  });

  test("a single tab is alone, and nothing of it lasts", async () => {
    const a = await openTab();
    await a.evaluate(() => q.send({ data: { i: 1 } }));
    const b = await openTab({ mode: "single-tab" });
    expect(await b.evaluate(async () => (await q.stats()).ready)).toBe(0);
    expect(await modeOf(b)).toMatchObject({ mode: "single-tab", durable: false, tabs: 1 });
    // And at rest: its hub is not looked for again and again.
    const changes = await b.evaluate(async () => {
      let count = 0;
      backend.onStatus(() => count++);
      for (let i = 0; i < 50; i++) await q.stats();
      return count;
    });
    expect(changes).toBe(0);
    await share(b, b, 2);
  });
});

describe("two builds", () => {
  test("the newer one gets the space, whichever came first, and the older ones work on through it", async () => {
    const [older, newer] = [await buildHub({ version: "0.0.9" }), await buildHub({ version: "99.0.0-rc.1" })];
    const a = await openTab({ workerUrl: older });
    const first = (await modeOf(a)).epoch;
    const b = await openTab();
    await share(a, b, 1);
    const second = (await modeOf(b)).epoch;
    expect(second).not.toBe(first);
    const c = await openTab({ workerUrl: newer });
    await share(b, c, 2);
    await share(c, a, 3);
    const third = (await modeOf(c)).epoch;
    expect(third).not.toBe(second);
    const d = await openTab({ workerUrl: older });
    await share(d, b, 4);
    for (const page of [a, b, c, d]) expect((await modeOf(page)).epoch).toBe(third);
  });
});
