import { type Engine, type LaunchOptions, cannot } from "./driver.js";
import { kill, processOf } from "./processes.js";
import { type Ways, launchDriven } from "./puppeteer-browser.js";

const FIREFOX = process.env.FIREFOX_PATH ?? "/usr/bin/firefox-esr";

/** A process for each tab: one that crashes must not take others with it. */
const PROCESS_PER_TAB = {
  "dom.ipc.processCount": 40,
  "dom.ipc.processCount.webIsolated": 40,
};

export function firefox(): Engine {
  return {
    name: "firefox",
    abilities: { endWorkers: false, freeze: false },
    launch: ({ privately = false }: LaunchOptions = {}) => launchDriven(waysOf(privately)),
    close: () => Promise.resolve(),
  };
}

function waysOf(privately: boolean): Ways {
  return {
    options: {
      browser: "firefox",
      executablePath: FIREFOX,
      headless: true,
      extraPrefsFirefox: { ...PROCESS_PER_TAB, "browser.privatebrowsing.autostart": privately },
    },
    endWorkers: cannot("end a worker from outside"),
    async crash(_page, tab, browser) {
      const isContent = ({ command }: { command: string }): boolean => command.includes("-isForBrowser");
      kill([await processOf(tab, isContent, browser.process()!.pid!)]);
    },
    setFrozen: cannot("freeze a page"),
  };
}
