import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer, { type Browser, type Page } from "puppeteer-core";
import { ARGS, executablePath } from "../support/browser.js";

/** Longer than any answer of a browser that is well. */
const SOON_MS = 5000;

/** A browser on a profile on disk, as users have it: Playwright's never freezes a tab, and keeps none in the cache. */
export class ChaosBrowser {
  readonly #folder = mkdtempSync(join(tmpdir(), "tabloom-chaos-"));
  #browser: Browser | undefined;

  async open(url: string): Promise<Page> {
    this.#browser ??= await puppeteer.launch({
      executablePath: executablePath(),
      headless: true,
      args: ARGS,
      userDataDir: this.#folder,
      protocolTimeout: 60_000,
    });
    const page = await this.#browser.newPage();
    await page.goto(url);
    return page;
  }

  /** Ends SharedWorkers whose address says so, as an out-of-memory kill would. Returns how many there were. */
  async endWorkers(isMeant: (url: string) => boolean): Promise<number> {
    if (!this.#browser) return 0;
    const session = await this.#browser.target().createCDPSession();
    const { targetInfos } = await session.send("Target.getTargets");
    const meant = targetInfos.filter(({ type, url }) => type === "shared_worker" && isMeant(url));
    // One that ended meanwhile is as good.
    for (const { targetId } of meant) await session.send("Target.closeTarget", { targetId }).catch(() => {});
    await session.detach();
    return meant.length;
  }

  /** The next tab is one of a new browser on the same profile. `killed`: without a farewell. */
  async end({ killed = false }: { killed?: boolean } = {}): Promise<void> {
    const browser = this.#browser;
    this.#browser = undefined;
    const running = browser?.process();
    if (!running) return;
    const ended = new Promise<void>((resolve) => running.once("exit", () => resolve()));
    if (killed) running.kill("SIGKILL");
    else await soon(browser!.close());
    if (running.exitCode === null && running.signalCode === null) running.kill("SIGKILL");
    await soon(ended);
  }

  async close(): Promise<void> {
    await this.end();
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 10 });
  }
}

/** Nothing that a browser is asked holds a run up; undefined when it failed, or did not answer. */
export async function soon<T>(asked: Promise<T>, ms = SOON_MS): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => (timer = setTimeout(() => resolve(undefined), ms)));
  try {
    return await Promise.race([asked.catch(() => undefined), late]);
  } finally {
    clearTimeout(timer);
  }
}
