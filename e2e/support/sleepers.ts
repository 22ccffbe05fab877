import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest";
import { chromium } from "../engines/chromium.js";
import type { Browser, Tab } from "../engines/driver.js";
import { type Site, serve } from "./server.js";

/** Tabs that sleep and wake, as they do under users and never under Playwright, which turns all of that off. */
export interface Sleepers {
  readonly browser: Browser;
  /** A tab that has joined the test's space, and has had an answer from its hub. */
  openTab(options?: object): Promise<Tab>;
  /** To another page; this one goes to the back/forward cache. */
  leave(tab: Tab): Promise<void>;
  /** Back again, and out of the cache: the page was not loaded anew. */
  comeBack(tab: Tab): Promise<void>;
  /** Back again, whichever way. */
  back(tab: Tab): Promise<void>;
}

export function setSleepers(page: string): Sleepers {
  let site: Site;
  let browser: Browser;
  beforeAll(async () => {
    site = await serve();
  });
  afterAll(() => site.close());
  beforeEach(async () => {
    browser = await chromium().launch();
  });
  afterEach(() => browser.close());
  return {
    get browser() {
      return browser;
    },
    async openTab(options) {
      const tab = await browser.open(site.origin + page);
      await until(tab, () => document.title === "ready");
      await tab.evaluate(async (given) => {
        globalThis.shown = [];
        globalThis.sleep = {} as typeof sleep;
        addEventListener("pageshow", ({ persisted }) => shown.push(persisted));
        join("test", given ?? {});
        await q.stats();
      }, options);
      return tab;
    },
    leave: (tab) => tab.goTo(`${site.origin}/e2e/pages/elsewhere.html`),
    back,
    async comeBack(tab) {
      await back(tab);
      const { notRestored, persisted } = await tab.evaluate(() => ({
        notRestored: JSON.stringify(
          (performance.getEntriesByType("navigation")[0] as { notRestoredReasons?: unknown }).notRestoredReasons,
        ),
        persisted: (globalThis.shown as boolean[] | undefined)?.at(-1),
      }));
      expect({ notRestored, persisted }).toEqual({ notRestored: "null", persisted: true });
    },
  };
}

async function back(tab: Tab): Promise<void> {
  await tab.back();
  await until(tab, () => document.title === "ready");
}

/** Until the condition, which may be asynchronous, holds in the page; the test's own time limit ends it. */
export async function until(tab: Tab, condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await tab.evaluate(condition))) await new Promise((resolve) => setTimeout(resolve, 10));
}
