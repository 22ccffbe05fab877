import type { CDPSession, Page } from "puppeteer-core";
import type { ClockReading, Note } from "../../test/history/record.js";
import { readClock } from "../support/recording.js";
import { soon } from "./browser.js";
import type { Plan } from "./plan.js";

/** What `startLoad` in e2e/chaos/pages/tab.js takes. */
export interface LoadOptions extends Pick<Plan, "ordering" | "mutexDurability"> {
  tab: string;
  seed: number;
  space: string;
  mode: "shared-worker" | "elected-tab";
  /** The address of the hub's script. */
  hub: string;
  givesUp: boolean;
}

const LOADED_WITHIN_MS = 30_000;

/** What tabs wrote down, kept outside of the browser: whatever dies in there, it is known what it saw. */
export class Record {
  readonly notes: Note[] = [];
  readonly clocks = new Map<string, ClockReading>();
  /** Tabs that died, by the names that they had then. */
  readonly dead: string[] = [];
}

/** A tab under load. When its page is loaded again, it is another tab to the history. */
export class ChaosTab {
  readonly #record: Record;
  readonly #load: Omit<LoadOptions, "tab">;
  readonly #id: string;
  readonly page: Page;
  readonly #session: CDPSession;
  #loads = 0;
  /** Notes that have arrived, and up to which there is no gap; a page that goes may not be heard. */
  readonly #kept = new Set<string>();
  #upTo = 0;
  #highest = 0;
  #confirming = false;
  /** It sleeps, or is on another page: nothing else is to be done to it. */
  busy = false;
  gone = false;

  constructor(
    page: Page,
    session: CDPSession,
    options: { id: string; record: Record; load: Omit<LoadOptions, "tab"> },
  ) {
    this.page = page;
    this.#session = session;
    this.#id = options.id;
    this.#record = options.record;
    this.#load = options.load;
  }

  /** Its name in the history. */
  get name(): string {
    return this.#loads > 1 ? `${this.#id}.${this.#loads}` : this.#id;
  }

  get mode(): LoadOptions["mode"] {
    return this.#load.mode;
  }

  static async begin(
    page: Page,
    options: { id: string; record: Record; load: Omit<LoadOptions, "tab"> },
  ): Promise<ChaosTab> {
    const session = await page.createCDPSession();
    const tab = new ChaosTab(page, session, options);
    session.on("Runtime.bindingCalled", ({ payload }) => tab.#keep(JSON.parse(payload) as Note));
    await session.send("Runtime.enable");
    await session.send("Runtime.addBinding", { name: "tellChaos" });
    page.on("error", () => tab.died());
    await tab.load();
    return tab;
  }

  #keep(note: Note): void {
    const key = `${note.tab} ${note.n}`;
    if (!this.#kept.has(key)) this.#record.notes.push(note);
    this.#kept.add(key);
    if (note.tab !== this.name) return;
    this.#highest = Math.max(this.#highest, note.n);
    void this.#confirm();
  }

  /** Tells the page up to where its notes are kept without a gap, and asks for what is missing. */
  async #confirm(): Promise<void> {
    if (this.#confirming) return;
    this.#confirming = true;
    for (let told = -1; told !== this.#keptUpTo() && !this.gone;) {
      told = this.#upTo;
      const gap = this.#highest > told ? "globalThis.tellAgain?.();" : "";
      // Another page may be there by now, or none.
      const expression = `globalThis.keptUpTo?.(${told});${gap}`;
      await soon(this.#session.send("Runtime.evaluate", { expression }), 1000);
    }
    this.#confirming = false;
  }

  #keptUpTo(): number {
    while (this.#kept.has(`${this.name} ${this.#upTo + 1}`)) this.#upTo++;
    return this.#upTo;
  }

  /** Begins in a page that was just loaded. */
  async load(): Promise<void> {
    await this.#ready();
    this.#loads++;
    this.#upTo = this.#highest = 0;
    this.#record.clocks.set(this.name, await readClock(this.page as never));
    await this.page.evaluate((options) => startLoad(options), {
      ...this.#load,
      seed: this.#load.seed + this.#loads,
      tab: this.name,
    });
  }

  /** Asked again and again: in a page that is not in front nothing is drawn, which Puppeteer would wait for. */
  async #ready(): Promise<void> {
    for (const end = performance.now() + LOADED_WITHIN_MS; performance.now() < end; await pause(10)) {
      // Where the page is just being replaced there is nothing to ask.
      if (await soon(this.page.evaluate(() => document.title === "ready"))) return;
    }
    throw new Error(`the page of ${this.name} was not loaded within ${LOADED_WITHIN_MS / 1000} s`);
  }

  async reload(): Promise<void> {
    this.#record.dead.push(this.name);
    await this.page.reload();
    await this.load();
  }

  async close(): Promise<void> {
    this.died();
    await soon(this.page.close());
  }

  async crash(): Promise<void> {
    const crashed = new Promise<void>((resolve) => void this.page.once("error", () => resolve()));
    // Never answered: the process that would answer is gone.
    this.#session.send("Page.crash").catch(() => {});
    await soon(crashed);
    await this.close();
  }

  died(): void {
    if (this.gone) return;
    this.gone = true;
    this.#record.dead.push(this.name);
  }

  async setFrozen(frozen: boolean): Promise<void> {
    await this.#session.send("Page.setWebLifecycleState", { state: frozen ? "frozen" : "active" });
  }

  /** To another page; this one goes to the back/forward cache. */
  async leave(url: string): Promise<void> {
    await this.page.goto(url);
  }

  /** Back again. Whether out of the cache: if not, it was loaded again, and is another tab. */
  async comeBack(): Promise<boolean> {
    const before = this.page.url();
    await this.page.evaluate("void setTimeout(() => history.back())");
    while (this.page.url() === before) await pause(10);
    await this.#ready();
    if (await this.page.evaluate(() => "backend" in globalThis)) return true;
    this.#record.dead.push(this.name);
    await this.load();
    return false;
  }

  /** Asks the page, or gives up: undefined. */
  ask<Result, Args extends unknown[]>(
    run: (...args: Args) => Result | Promise<Result>,
    args: Args,
    ms?: number,
  ): Promise<Result | undefined> {
    if (this.gone) return Promise.resolve(undefined);
    return soon(this.page.evaluate(run as never, ...(args as unknown as never[])) as Promise<Result>, ms);
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
