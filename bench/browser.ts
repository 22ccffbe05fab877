import { mkdirSync, writeFileSync } from "node:fs";
import type { CDPSession, Page } from "playwright-core";
import { type Profile, openDiskProfile } from "../e2e/support/browser.js";
import { type Site, serve } from "../e2e/support/server.js";

/** A browser with a profile on disk, on the benchmark page. */
export interface Tabs {
  open(path?: string): Promise<Page>;
  crash(page: Page): Promise<void>;
  /** The hub of a space, as the debugger sees it. */
  hub(space: string): Promise<WorkerSession>;
  /** Closes every page, and with the last one ends the hubs. */
  end(): Promise<void>;
  close(): Promise<void>;
}

/** DevTools commands to one worker. */
export interface WorkerSession {
  send<Answer = unknown>(method: string, params?: object): Promise<Answer>;
  /** A worker that is watched does not end. */
  detach(): Promise<void>;
}

export async function openTabs(): Promise<Tabs> {
  const site: Site = await serve();
  const profile: Profile = await openDiskProfile();
  return {
    open: (path = "/bench/page.html") => profile.open(site.origin, path),
    crash: (page) => profile.crash(page),
    hub: (space) => attach(profile, space),
    async end() {
      const [keeper, ...pages] = profile.context.pages();
      await Promise.all(pages.map((page) => page.close()));
      await keeper?.goto("about:blank");
      while ((await workers(profile)).length > 0) await new Promise((resolve) => setTimeout(resolve, 10));
    },
    async close() {
      await profile.close();
      await site.close();
    },
  };
}

interface Answer {
  id?: number;
  result?: unknown;
  error?: { message: string };
}

async function workers({ context }: Profile): Promise<{ title: string; targetId: string }[]> {
  const browser = await context.browser()!.newBrowserCDPSession();
  const { targetInfos } = await browser.send("Target.getTargets");
  await browser.detach();
  return targetInfos.filter(({ type }) => type === "shared_worker");
}

async function attach(profile: Profile, space: string): Promise<WorkerSession> {
  const hubs = await workers(profile);
  const target = hubs.find(({ title }) => title.startsWith(`tabloom:${space}:`));
  if (!target) throw new Error(`no worker of space ${space} among ${hubs.map(({ title }) => title).join(", ")}`);
  const browser = await profile.context.browser()!.newBrowserCDPSession();
  const { sessionId } = await browser.send("Target.attachToTarget", { targetId: target.targetId, flatten: false });
  return workerSession(browser, sessionId);
}

/** Playwright has no sessions for shared workers, so messages go through the browser's session as texts. */
function workerSession(browser: CDPSession, sessionId: string): WorkerSession {
  let id = 0;
  const waiting = new Map<number, (answer: Answer) => void>();
  browser.on("Target.receivedMessageFromTarget", (event) => {
    if (event.sessionId !== sessionId) return;
    const answer = JSON.parse(event.message) as Answer;
    if (answer.id !== undefined) waiting.get(answer.id)?.(answer);
  });
  return {
    async send<Result>(method: string, params: object = {}) {
      const answered = new Promise<Answer>((resolve) => waiting.set(++id, resolve));
      await browser.send("Target.sendMessageToTarget", { sessionId, message: JSON.stringify({ id, method, params }) });
      const { result, error } = await answered;
      if (error) throw new Error(`${method}: ${error.message}`);
      return result as Result;
    },
    detach: () => browser.detach(),
  };
}

/** Bytes of live objects in a worker. */
export async function heapOf(worker: WorkerSession): Promise<number> {
  for (let i = 0; i < 3; i++) await worker.send("HeapProfiler.collectGarbage");
  const { usedSize } = await worker.send<{ usedSize: number }>("Runtime.getHeapUsage");
  return usedSize;
}

/** Runs something under the CPU profilers of a tab and the hub, and writes both profiles to `folder`. */
export async function profiling(
  { folder, name, hub, page }: { folder: string; name: string; hub: WorkerSession; page: Page },
  run: () => Promise<unknown>,
): Promise<void> {
  const tab = await page.context().newCDPSession(page);
  const sessions = { tab: { send: (method: string) => tab.send(method as "Profiler.stop") }, hub };
  for (const session of Object.values(sessions)) {
    await session.send("Profiler.enable");
    await session.send("Profiler.start");
  }
  await run();
  mkdirSync(folder, { recursive: true });
  for (const [side, session] of Object.entries(sessions)) {
    const { profile } = (await session.send("Profiler.stop")) as { profile: unknown };
    writeFileSync(`${folder}/${name}-${side}.cpuprofile`, JSON.stringify(profile));
  }
}
