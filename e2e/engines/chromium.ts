import { type Engine, type LaunchOptions } from "./driver.js";
import { ARGS } from "../support/browser.js";
import { type Ways, launchDriven } from "./puppeteer-browser.js";

export function chromium(): Engine {
  return {
    name: "chromium",
    abilities: { endWorkers: true, freeze: true },
    launch: ({ privately = false }: LaunchOptions = {}) => launchDriven(waysOf(privately)),
    close: () => Promise.resolve(),
  };
}

function waysOf(privately: boolean): Ways {
  return {
    options: {
      executablePath: process.env.CHROMIUM_PATH ?? "/usr/bin/chromium",
      headless: true,
      args: privately ? [...ARGS, "--incognito"] : ARGS,
    },
    async endWorkers(browser) {
      const session = await browser.target().createCDPSession();
      const { targetInfos } = await session.send("Target.getTargets");
      const workers = targetInfos.filter(({ type }) => type === "shared_worker");
      for (const { targetId } of workers) await session.send("Target.closeTarget", { targetId });
      await session.detach();
      return workers.length;
    },
    async crash(page) {
      const session = await page.createCDPSession();
      const crashed = new Promise<void>((resolve) => void page.once("error", () => resolve()));
      // Never answered: the process that would answer is gone.
      session.send("Page.crash").catch(() => {});
      await crashed;
    },
    async setFrozen(page, frozen) {
      const session = await page.createCDPSession();
      await session.send("Page.setWebLifecycleState", { state: frozen ? "frozen" : "active" });
      await session.detach();
    },
  };
}
