import { resolve } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Backend, Job, Mutex, Queue, Schema, Topic } from "../src/index.js";
import { type Profile, openDiskProfile, until } from "./support/browser.js";
import { type Consumers, allOf, installConsumers, serveWith } from "./support/consumers.js";
import { type Site, serve } from "./support/server.js";

/** What e2e/consumers/tab.js puts into each app's page. */
declare const tab: {
  backend: Backend;
  letters: Queue<Schema<string>>;
  door: Mutex;
  events: Topic<Schema<string>>;
  heard: string[];
  listen(): Promise<void>;
  greetings(works: boolean): Job<Schema<string>, string>;
};

let consumers: Consumers;
let profile: Profile;

beforeAll(async () => {
  consumers = await installConsumers(["vite", "webpack", "html"]);
  await allOf([
    consumers.run("vite", "npx", "vite", "build").then(() => consumers.run("vite", "npx", "tsc")),
    consumers.run("webpack", "node", "build.mjs"),
  ]);
  profile = await openDiskProfile();
}, 300_000);

afterAll(async () => {
  await profile?.close();
  consumers?.close();
});

const vite = (how: string) => () => serveWith(consumers.folder("vite"), "serve.mjs", how);
const files = (folder: string) => () => serve({ root: resolve(consumers.folder("."), folder) });

interface App {
  start(): Promise<Site>;
  /** What the page is asked for, behind its address. */
  asked?: string;
}

/** Each on a port, so an origin and a storage, of its own. */
const apps: [name: string, app: App][] = [
  ["Vite, built", { start: vite("preview") }],
  ["Vite, built, a worker of its own", { start: vite("preview"), asked: "hub=own" }],
  ["Vite, built, an elected tab", { start: vite("preview"), asked: "mode=elected-tab" }],
  ["Vite in development", { start: vite("optimized") }],
  ["Vite in development, a worker of its own", { start: vite("own"), asked: "hub=own" }],
  ["Vite in development, an elected tab", { start: vite("elected"), asked: "mode=elected-tab" }],
  ["Vite in development, not optimized", { start: vite("excluded") }],
  ["Vite in development, not optimized, a worker of its own", { start: vite("excluded"), asked: "hub=own" }],
  ["webpack", { start: files("webpack/dist") }],
  ["webpack, a worker of its own", { start: files("webpack/dist"), asked: "hub=own" }],
  ["webpack, an elected tab", { start: files("webpack/dist"), asked: "mode=elected-tab" }],
  ["plain HTML with an import map", { start: files("html") }],
  ["plain HTML, the classic worker file", { start: files("html"), asked: "hub=classic" }],
  [
    "plain HTML, the classic worker file beside an elected tab",
    { start: files("html"), asked: "hub=classic&mode=elected-tab" },
  ],
  ["plain HTML, an elected tab", { start: files("html"), asked: "mode=elected-tab" }],
];

describe.each(apps)("the packed package in an app: %s", (_, { start, asked }) => {
  const { open, complaints } = tabsOf(start);

  test("two tabs share one hub, which keeps what they sent through a reload", async () => {
    const [a, b] = [await open(asked), await open(asked)];
    await shareAHub(a, b, asked?.includes("elected-tab") ? "elected-tab" : "shared-worker");
    await a.evaluate(() => tab.letters.send({ data: "kept" }));
    await Promise.all([a, b].map(reload));
    expect(await takeLetter(b)).toBe("kept");
    await workTogether(a, b, asked === "hub=own" ? "A, says the worker" : "A, says a tab");
    expect(complaints).toEqual([]);
  });
});

describe("worker.global.js", () => {
  const { open, complaints } = tabsOf(files("html"));

  test("tabs that load it as a classic script and as a module share a space", async () => {
    await shareAHub(await open("hub=classic"), await open("hub=module"), "shared-worker");
    expect(complaints).toEqual([]);
  });
});

/** Opens tabs on a site of its own; gathers what their consoles complain about. */
function tabsOf(start: App["start"]): { open(asked?: string): Promise<Page>; complaints: string[] } {
  let site: Site;
  const pages: Page[] = [];
  const complaints: string[] = [];
  beforeAll(async () => {
    site = await start();
  });
  afterAll(async () => {
    await Promise.all(pages.map((page) => page.close()));
    await site?.close();
  });
  return {
    complaints,
    async open(asked = "") {
      const page = await profile.open(site.origin, `/index.html?${asked}`);
      page.on("pageerror", (error) => complaints.push(error.message));
      page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
      pages.push(page);
      return page;
    },
  };
}

async function reload(page: Page): Promise<void> {
  await page.reload();
  await page.waitForFunction(() => document.title === "ready");
}

const takeLetter = (page: Page): Promise<string | undefined> =>
  page.evaluate(async () => {
    const message = await tab.letters.recv({ timeoutMs: 10_000 });
    return (await message?.ack()) ? message?.data : undefined;
  });

async function shareAHub(a: Page, b: Page, mode: string): Promise<void> {
  await a.evaluate(() => tab.letters.send({ data: "from A" }));
  expect(await takeLetter(b)).toBe("from A");
  expect(await a.evaluate(() => tab.letters.stats())).toMatchObject({ depth: 0, dead: 0 });
  const [first, second] = await Promise.all([a, b].map((page) => page.evaluate(() => tab.backend.status)));
  const shared = { mode, state: "ready", durable: true, epoch: first!.epoch };
  expect([first, second]).toMatchObject([shared, shared]);
  await until(a, () => tab.backend.status.tabs === 2);
}

async function workTogether(a: Page, b: Page, greeting: string): Promise<void> {
  await b.evaluate(() => tab.listen());
  await a.evaluate(() => tab.events.pub({ data: "news" }));
  await until(b, () => tab.heard.join() === "news");

  const acquire = (page: Page): Promise<boolean> =>
    page.evaluate(async () => {
      const lock = await tab.door.acquire("door", { waitMs: 0 });
      Object.assign(globalThis, { unlock: () => tab.door.release(lock!) });
      return lock !== null;
    });
  expect(await acquire(a)).toBe(true);
  expect(await acquire(b)).toBe(false);
  await a.evaluate(() => (globalThis as unknown as { unlock: () => Promise<boolean> }).unlock());
  expect(await acquire(b)).toBe(true);

  if (greeting.endsWith("tab")) await b.evaluate(() => tab.greetings(true).start());
  const outcome = await a.evaluate(async () => {
    const greetings = tab.greetings(false);
    return greetings.join({ id: await greetings.submit({ input: "A" }), timeoutMs: 20_000 });
  });
  expect(outcome).toMatchObject({ status: "completed", result: greeting });
}
