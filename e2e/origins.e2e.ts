/** Places that lack something a hub stands on: tabs use what there is, and one warning says what is missing. */
import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { until } from "./support/browser.js";
import { setStage } from "./support/stage.js";

/** Only the death of its holder can bring such a message back. */
const LONG_MS = 24 * 3_600_000;
const BLANK = "/e2e/pages/blank.html";

function warningsOf(page: Page): string[] {
  const warnings: string[] = [];
  page.on("console", (message) => message.type() === "warning" && warnings.push(message.text()));
  return warnings;
}

/** Joins without a SharedWorker where `shared` is false, as on Chrome for Android. */
async function enter(
  page: Page,
  { shared = true, ...options }: { shared?: boolean; mode?: string } = {},
): Promise<void> {
  await page.evaluate(
    ([keep, given]) => {
      if (!keep) Reflect.deleteProperty(globalThis, "SharedWorker");
      join("test", given);
      return q.stats();
    },
    [shared, options] as const,
  );
}

/** Of the page itself: nothing that the library leaves behind may surface as an error of the app. */
function errorsOf(page: Page): string[] {
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(error.message));
  return errors;
}

const statusOf = (page: Page) => page.evaluate(() => backend.status);

async function expectShared(a: Page, b: Page): Promise<void> {
  for (const [from, to, i] of [
    [a, b, 1],
    [b, a, 2],
  ] as const) {
    await from.evaluate((n) => q.send({ data: { i: n } }), i);
    const got = await to.evaluate(async () => {
      const message = await q.recv({ timeoutMs: 20_000 });
      return [message?.data.i, await message?.ack()];
    });
    expect(got).toEqual([i, true]);
  }
}

describe("an insecure origin, which has no Web Locks", () => {
  const stage = setStage({ browserArgs: ["--host-resolver-rules=MAP insecure.test 127.0.0.1"] });
  const open = (): Promise<Page> => stage.profile.open(stage.site.origin.replace("localhost", "insecure.test"));

  test("has a durable hub in a SharedWorker; a dead tab is noticed by its silence", async () => {
    const [a, b] = [await open(), await open()];
    const warnings = warningsOf(a);
    await enter(a);
    await enter(b);
    expect(await a.evaluate(() => [isSecureContext, "locks" in navigator])).toEqual([false, false]);
    expect(await statusOf(a)).toMatchObject({ mode: "shared-worker", durable: true, state: "ready", tabs: 2 });
    await expectShared(a, b);
    await a.evaluate(() => q.send({ data: { i: 3 } }));
    await b.evaluate((leaseMs) => q.recv({ leaseMs }).then(() => undefined), LONG_MS);
    await stage.profile.crash(b);
    const crashedAt = Date.now();
    const again = await a.evaluate(async () => (await q.recv({ timeoutMs: 40_000 }))?.attempt);
    console.log(`a dead tab's lease came back ${Date.now() - crashedAt} ms after its crash`);
    expect(again).toBe(2);
    // It did not take the living tab for dead, which has been heard of every 5 s.
    expect(await statusOf(a)).toMatchObject({ connected: true, tabs: 1 });
    expect((await statusOf(a)).tabId).toMatch(/\/1$/);
    expect(warnings).toEqual([]);
  });

  test("without SharedWorkers each tab is alone, and says so once", async () => {
    const a = await open();
    const warnings = warningsOf(a);
    await enter(a, { shared: false });
    await a.evaluate(() => q.send({ data: { i: 1 } }));
    expect(await a.evaluate(async () => (await q.recv())?.data)).toEqual({ i: 1 });
    expect(await statusOf(a)).toMatchObject({ mode: "single-tab", durable: false, state: "ready", tabs: 1 });
    expect(warnings).toEqual([expect.stringMatching(/SharedWorker.*Web Locks.*single-tab/)]);
  });
});

describe("where workers cannot be started", () => {
  const stage = setStage();

  test("by a security policy, the elected tab hosts the hub in its own thread", async () => {
    const path = `${BLANK}?policy=${encodeURIComponent("worker-src 'none'")}`;
    const open = (): Promise<Page> => stage.profile.open(stage.site.origin, path);
    const [a, b] = [await open(), await open()];
    const warnings = warningsOf(a);
    await enter(a);
    await enter(b);
    await expectShared(a, b);
    expect(await statusOf(b)).toMatchObject({ mode: "elected-tab", durable: true, tabs: 2 });
    expect([...a.workers(), ...b.workers(), ...stage.profile.context.serviceWorkers()]).toEqual([]);
    expect(warnings).toHaveLength(1);

    await a.evaluate(() => sendAll(20));
    await stage.profile.crash(a);
    expect(await b.evaluate(async () => (await q.recvMany({ max: 30 })).map(({ data }) => data.i))).toEqual(
      Array.from({ length: 20 }, (_, i) => i),
    );
    await stage.restart();
    const c = await stage.profile.open(stage.site.origin, path);
    await enter(c);
    expect(await c.evaluate(async () => (await q.stats()).depth)).toBe(20);
  });

  test("because the file is not there, likewise, with one warning that names the cause", async () => {
    const [a, b] = [await stage.profile.open(stage.site.origin), await stage.profile.open(stage.site.origin)];
    const warnings = warningsOf(a);
    for (const page of [a, b]) {
      await page.evaluate(() => {
        join("test", { workerUrl: "/nowhere.js" });
        return q.stats();
      });
    }
    await expectShared(a, b);
    expect(await statusOf(b)).toMatchObject({ mode: "elected-tab", durable: true, tabs: 2 });
    expect(warnings).toEqual([expect.stringMatching(/script could not be loaded.*docs\/worker\.md/)]);
  });
});

describe("a worker file that is long on its way", () => {
  const stage = setStage();

  test("is waited for: no tab goes its own way, and none takes the space from the one that loads", async () => {
    const pages = [await stage.profile.open(stage.site.origin), await stage.profile.open(stage.site.origin)];
    const errors = pages.map(errorsOf);
    const asked: number[] = [];
    stage.profile.context.on("request", (request) => request.url().includes("delayMs") && asked.push(Date.now()));
    const epochs = await Promise.all(
      pages.map((page) =>
        page.evaluate(async () => {
          Reflect.deleteProperty(globalThis, "SharedWorker");
          join("test", { workerUrl: "/dist/worker.js?delayMs=6000" });
          await q.send({ data: { i: 1 } });
          return [backend.status.mode, backend.status.durable, backend.status.epoch];
        }),
      ),
    );
    expect(epochs[0]).toEqual(["elected-tab", true, epochs[1]![2]]);
    expect(asked).toHaveLength(1);
    expect(errors).toEqual([[], []]);
    expect(await pages[0]!.evaluate(async () => (await q.stats()).depth)).toBe(2);
  });
});

describe("an opaque origin", () => {
  const stage = setStage();

  test("shares nothing and keeps nothing; calls work", async () => {
    const outer = await stage.profile.open(stage.site.origin);
    await outer.evaluate((src) => {
      const frame = document.createElement("iframe");
      frame.sandbox.add("allow-scripts");
      frame.src = src;
      document.body.append(frame);
    }, BLANK);
    await until(outer, () => frames.length === 1);
    const frame = outer.frames()[1]!;
    await frame.waitForFunction(() => document.title === "ready");
    const found = await frame.evaluate(async () => {
      join("test");
      await q.send({ data: { i: 1 } });
      return { origin, got: (await q.recv())?.data, status: backend.status };
    });
    expect(found).toMatchObject({
      origin: "null",
      got: { i: 1 },
      status: { mode: "single-tab", durable: false, state: "ready" },
    });
    // Nor does the page around it see any of it.
    await enter(outer);
    expect(await outer.evaluate(async () => (await q.stats()).depth)).toBe(0);
  });
});
