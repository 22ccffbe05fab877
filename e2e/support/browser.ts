import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, type BrowserContext, type CDPSession, type Page, chromium } from "playwright-core";

export const ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export interface Profile {
  readonly context: BrowserContext;
  /** A tab on the test page, its scripts loaded. */
  open(origin: string, path?: string): Promise<Page>;
  /** Ends every SharedWorker of this profile, as an out-of-memory kill would. Returns how many there were. */
  killWorkers(): Promise<number>;
  /** Ends every SharedWorker, or else the hub that a tab hosts. Returns how many there were. */
  killHubs(): Promise<number>;
  /** Crashes a tab's renderer process. */
  crash(page: Page): Promise<void>;
  /** Closes the browser and starts it again on the same folder. Only for profiles on disk. */
  restart(): Promise<Profile>;
  /** Closes the browser; a profile on disk is deleted. */
  close(): Promise<void>;
}

/** Until the condition, which may be asynchronous, holds in the page; the test's own time limit ends it. */
export async function until(page: Page, condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await page.evaluate(condition))) await page.waitForTimeout(10);
}

export function executablePath(): string {
  return process.env.CHROMIUM_PATH ?? "/usr/bin/chromium";
}

/** A real profile folder: IndexedDB on disk, which a plain context keeps in memory. */
export async function openDiskProfile(
  folder = mkdtempSync(join(tmpdir(), "tabloom-")),
  args: string[] = [],
): Promise<Profile> {
  const context = await chromium.launchPersistentContext(folder, {
    executablePath: executablePath(),
    headless: true,
    args: [...ARGS, ...args],
  });
  return makeProfile(
    context,
    context.browser(),
    async (keep) => {
      await context.close();
      if (!keep) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
    () => openDiskProfile(folder, args),
  );
}

async function makeProfile(
  context: BrowserContext,
  browser: Browser | null,
  end: (keep: boolean) => Promise<void>,
  reopen: () => Promise<Profile>,
): Promise<Profile> {
  const crashed = new WeakSet<Page>();
  const killWorkers = async (): Promise<number> => {
    const session = await browserSession(context, browser);
    const { targetInfos } = await session.send("Target.getTargets");
    const workers = targetInfos.filter(({ type }) => type === "shared_worker");
    for (const { targetId } of workers) await session.send("Target.closeTarget", { targetId });
    await session.detach();
    return workers.length;
  };
  return {
    context,
    async open(origin, path = "/e2e/pages/blank.html") {
      const page = await context.newPage();
      page.on("pageerror", (error) => console.error("page error:", error));
      page.on("console", (message) => {
        if (message.type() === "error") console.error("page console:", message.text());
      });
      await page.goto(origin + path);
      await page.waitForFunction(() => document.title === "ready");
      return page;
    },
    killWorkers,
    async killHubs() {
      let killed = await killWorkers();
      for (const page of context.pages()) {
        // One after the other: where one was ended, the next tab is about to start another.
        if (killed > 0) break;
        if (!crashed.has(page)) killed = await page.evaluate(() => globalThis.killHostedHub?.() ?? 0);
      }
      return killed;
    },
    async crash(page) {
      const session = await context.newCDPSession(page);
      const gone = new Promise<void>((resolve) => page.once("crash", () => resolve()));
      crashed.add(page);
      // Never answered: the process that would answer is gone.
      session.send("Page.crash").catch(() => {});
      await gone;
    },
    async restart() {
      await end(true);
      return reopen();
    },
    close: () => end(false),
  };
}

async function browserSession(context: BrowserContext, browser: Browser | null): Promise<CDPSession> {
  if (browser) return browser.newBrowserCDPSession();
  const page = context.pages()[0] ?? (await context.newPage());
  return context.newCDPSession(page);
}
