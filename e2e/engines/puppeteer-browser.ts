/** Chromium and Firefox, which puppeteer drives alike: by CDP the one, by WebDriver BiDi the other. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer, { type Browser as Driven, type LaunchOptions as DrivenOptions, type Page } from "puppeteer-core";
import { type Browser, type PageFunction, type Tab, sourceOf } from "./driver.js";

/** What the two engines do each in its own way. */
export interface Ways {
  readonly options: DrivenOptions;
  endWorkers(browser: Driven): Promise<number>;
  crash(page: Page, tab: Tab, browser: Driven): Promise<void>;
  setFrozen(page: Page, frozen: boolean): Promise<void>;
}

export async function launchDriven(ways: Ways, folder = mkdtempSync(join(tmpdir(), "tabloom-"))): Promise<Browser> {
  const browser = await puppeteer.launch({ ...ways.options, userDataDir: folder });
  return {
    version: (await browser.version()).replace("/", " "),
    async open(url) {
      const page = await browser.newPage();
      await page.goto(url);
      return tabOf(browser, page, ways);
    },
    endWorkers: () => ways.endWorkers(browser),
    async restart() {
      await browser.close();
      return launchDriven(ways, folder);
    },
    async close() {
      await browser.close();
      rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
    },
  };
}

function tabOf(browser: Driven, page: Page, ways: Ways): Tab {
  const tab: Tab = {
    async evaluate<Result, Arg>(run: PageFunction<Arg, Result>, arg?: Arg) {
      return JSON.parse((await page.evaluate(sourceOf(run, arg))) as string) as Result;
    },
    reload: async () => void (await page.reload()),
    goTo: async (url) => void (await page.goto(url)),
    async back() {
      // Out of the back/forward cache there is no load to wait for, and not every engine tells of it.
      const before = page.url();
      await page.evaluate("void setTimeout(() => history.back())");
      while (page.url() === before) await new Promise((resolve) => setTimeout(resolve, 20));
    },
    close: () => page.close(),
    crash: () => ways.crash(page, tab, browser),
    setFrozen: (frozen) => ways.setFrozen(page, frozen),
    screenshot: async (file) => void (await page.screenshot({ path: file as `${string}.png` })),
  };
  return tab;
}
