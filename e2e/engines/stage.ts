import type { BackendStatus, Lock } from "../../src/index.js";
import { type Site, serve } from "../support/server.js";
import type { Browser, Engine, LaunchOptions, PageFunction, Tab } from "./driver.js";

export const MODES = ["shared-worker", "elected-tab", "single-tab"] as const;
export type Mode = (typeof MODES)[number];

/** What `enter` in e2e/pages/engines.js takes. */
export interface EnterOptions {
  /** Hubs that this tab starts can be disturbed (e2e/pages/edge.js), and are so from the start by what is given. */
  steered?: Partial<Record<"noStorage", "1">>;
  /** A worker of that generation, so another hub than the tabs without it. */
  generation?: number;
  mode?: Mode;
  queue?: object;
  mutex?: object;
}

export interface PageOptions extends EnterOptions {
  /** Which build of the package: the folder that it is in. */
  build?: string;
  /** Not the cell's own browser. */
  browser?: Browser;
}

/** One fault in one engine and one mode: a space of its own, in a browser that other cells had before. */
export interface Stage {
  readonly engine: Engine;
  readonly mode: Mode;
  readonly space: string;
  /** A tab that has not joined the space. */
  openPage(options?: PageOptions): Promise<Tab>;
  /** A tab that has joined the space, and has had an answer from its hub. */
  openTab(options?: PageOptions): Promise<Tab>;
  enter(tab: Tab, options?: EnterOptions): Promise<BackendStatus>;
  /** Disturbs the hub, which one of these tabs started with `steered`. */
  steer(tab: Tab, command: Disturbance): Promise<void>;
  /** Ends the hub: from outside where the engine lets us, else from inside, which takes a steered one. */
  endHub(tab: Tab): Promise<void>;
  /** Another browser, for what concerns the whole of it; closed with the cell. */
  launch(options: LaunchOptions): Promise<Browser>;
  restart(browser: Browser): Promise<Browser>;
  /** The server of the app goes away, and comes back at the same address. */
  setOnline(online: boolean): Promise<void>;
  /** The address of another page of the site. */
  readonly elsewhere: string;
  /** Words for the table: what this cell showed. */
  remark(text: string): void;
}

export interface Disturbance {
  stepMs?: number;
  hangMs?: number;
  close?: true;
  faults?: Partial<
    Record<"dieAfterCommits" | "dieInCommits" | "failCommits" | "dieAfterSlices", number> & { full: number | false }
  >;
}

const SCREENSHOTS = 3;

/** A browser and a site, which the cells of one engine use one after the other. */
export class Theatre {
  readonly engine: Engine;
  version = "";
  #site: Site | undefined;
  #browser: Browser | undefined;
  #cells = 0;

  constructor(engine: Engine) {
    this.engine = engine;
  }

  /** Runs one cell. A browser that a cell spoiled, or may have, is not used again. */
  async play(mode: Mode, { spoils, run }: { spoils: boolean; run(stage: Stage): Promise<void> }): Promise<string[]> {
    this.#site ??= await serve();
    this.#browser ??= await this.engine.launch();
    this.version = this.#browser.version;
    const cell = new Cell(this.engine, mode, `cell${++this.#cells}`, this.#browser, this.#site);
    let done = false;
    try {
      await run(cell);
      done = true;
      return cell.remarks;
    } catch (error) {
      await cell.takeScreenshots();
      throw error;
    } finally {
      this.#site = cell.site;
      if (done && !spoils) await cell.closeTabs();
      else await this.#drop();
      await cell.closeBrowsers();
    }
  }

  async #drop(): Promise<void> {
    const browser = this.#browser;
    this.#browser = undefined;
    // One that hangs must not take the rest of the run with it.
    await Promise.race([browser?.close(), new Promise((resolve) => setTimeout(resolve, 10_000))]);
  }

  async close(): Promise<void> {
    await this.#drop();
    await this.#site?.close();
    await this.engine.close();
  }
}

/** What scenarios take apart is bound to its cell. */
class Cell implements Stage {
  readonly engine: Engine;
  readonly mode: Mode;
  readonly space: string;
  readonly remarks: string[] = [];
  site: Site;
  readonly #browser: Browser;
  readonly #browsers: Browser[] = [];
  readonly #tabs = new Set<Tab>();

  constructor(engine: Engine, mode: Mode, space: string, browser: Browser, site: Site) {
    this.engine = engine;
    this.mode = mode;
    this.space = space;
    this.#browser = browser;
    this.site = site;
  }

  get elsewhere(): string {
    return `${this.site.origin}/e2e/pages/elsewhere.html`;
  }

  openPage = async ({ build = "/dist", browser = this.#browser }: PageOptions = {}): Promise<Tab> => {
    const tab = this.#known(await browser.open(`${this.site.origin}/e2e/pages/engines.html?build=${build}`));
    if (browser === this.#browser) this.#tabs.add(tab);
    await loaded(tab);
    return tab;
  };

  openTab = async (options: PageOptions = {}): Promise<Tab> => {
    const tab = await this.openPage(options);
    await this.enter(tab, options);
    return tab;
  };

  enter = async (tab: Tab, { steered, generation, mode = this.mode, queue, mutex }: EnterOptions = {}) => {
    const status = await tab.evaluate((options) => enter(options), {
      space: this.space,
      mode,
      ...(steered ? { steered } : {}),
      ...(generation ? { generation } : {}),
      ...(queue ? { queue } : {}),
      ...(mutex ? { mutex } : {}),
    });
    if (status.mode !== mode) throw new Error(`asked for ${mode}, and runs as ${status.mode}`);
    return status;
  };

  steer(tab: Tab, command: Disturbance): Promise<void> {
    return tab.evaluate(([space, given]) => disturb(space, given), [this.space, command] as const);
  }

  async endHub(tab: Tab): Promise<void> {
    if (this.mode === "shared-worker" && this.engine.abilities.endWorkers) await this.#browser.endWorkers();
    else await this.steer(tab, { close: true });
  }

  async launch(options: LaunchOptions): Promise<Browser> {
    const browser = await this.engine.launch(options);
    this.#browsers.push(browser);
    return browser;
  }

  async restart(browser: Browser): Promise<Browser> {
    const next = await browser.restart();
    this.#browsers.splice(this.#browsers.indexOf(browser), 1, next);
    return next;
  }

  async setOnline(online: boolean): Promise<void> {
    if (!online) await this.site.close();
    else this.site = await serve({ port: Number(new URL(this.site.origin).port) });
  }

  remark(text: string): void {
    this.remarks.push(text);
  }

  #known(tab: Tab): Tab {
    const known: Tab = {
      ...tab,
      evaluate(run, arg) {
        const result = tab.evaluate(run, arg);
        // What nobody waits for any more, because the cell failed meanwhile, must not fail the run a second time.
        result.catch(() => {});
        return result;
      },
      close: () => {
        this.#tabs.delete(known);
        return tab.close();
      },
    };
    return known;
  }

  async closeTabs(): Promise<void> {
    for (const tab of [...this.#tabs]) await tab.close();
  }

  async closeBrowsers(): Promise<void> {
    for (const browser of this.#browsers) await browser.close();
  }

  async takeScreenshots(): Promise<void> {
    const all = [...this.#tabs].slice(0, SCREENSHOTS).map((tab, i) => {
      const file = `.out/engines/failed-${this.engine.name}-${this.mode}-${this.space}-tab${i + 1}.png`;
      return tab.screenshot(file).catch(() => {});
    });
    // A tab that crashed or hangs has none to give.
    await Promise.race([Promise.all(all), new Promise((resolve) => setTimeout(resolve, 5000))]);
  }
}

/** Until the page's scripts have run. */
export async function loaded(tab: Tab): Promise<void> {
  await until(tab, () => document.title === "ready");
}

/** Why the page was not kept in the back/forward cache, as the browser tells; undefined: it was. */
export async function whyNotKept(tab: Tab): Promise<string | undefined> {
  await loaded(tab);
  // A page that is loaded anew does not know that it ever left.
  await until(tab, () => globalThis.left === undefined || shown.includes(true));
  const reasons = await tab.evaluate(() => {
    if (globalThis.left) return null;
    const [entry] = performance.getEntriesByType("navigation");
    return JSON.stringify((entry as { notRestoredReasons?: unknown }).notRestoredReasons ?? "not told");
  });
  return reasons ?? undefined;
}

/** Until the condition holds in the page; the time limit of the cell ends it. */
export async function until<Arg = undefined>(
  tab: Tab,
  condition: PageFunction<Arg, boolean>,
  arg?: Arg,
): Promise<void> {
  while (!(await tab.evaluate(condition, arg))) await new Promise((resolve) => setTimeout(resolve, 15));
}

/** What e2e/pages/engines.js puts into the page. Only ever touched inside `evaluate`. */
declare global {
  function enter(options: object): Promise<BackendStatus>;
  function takeAll(): Promise<number[]>;
  function keepSending(options?: { ahead?: number }): void;
  function keepReceiving(): void;
  function disturb(space: string, command: object): Promise<void>;
  function endSending(): Promise<number[]>;
  function endReceiving(): Promise<typeof received>;
  function listen(): Promise<void>;
  function hubsAlive(space: string): Promise<number>;
  function codeOf(call: Promise<unknown>): Promise<string | null>;
  var accepted: number[];
  var received: { i: number; attempt: number; acked: boolean }[];
  var heard: unknown[];
  var resets: string[];
  var warnings: string[];
  var shown: boolean[];
  var left: true | undefined;
  var given: Lock;
}
