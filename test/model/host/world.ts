/** A browser in short: tabs, hubs one after the other (or two at once), one disk. Everything happens step by step. */
import { expect, vi } from "vitest";
import { Disk } from "./held-journal.js";
import { Landed } from "./landed.js";
import { SimulatedHub } from "./simulated-hub.js";
import { SimulatedTab } from "./simulated-tab.js";

/** Calls give up after 30 s: no history is that long, so that one that gave up did hang. */
const LONGEST_MS = 20_000;
const REST_WITHIN = 300;

export class World {
  readonly landed = new Landed();
  readonly disk = new Disk((_, batch) => this.landed.add(batch));
  readonly hubs: SimulatedHub[] = [];
  readonly tabs: SimulatedTab[] = [];
  /** Those that are gone, too, and not the one that looks on at the end. */
  readonly everyTab: SimulatedTab[] = [];
  /** Sleeping tabs that a hub remembers. */
  readonly parked: number;
  #current: SimulatedHub | undefined;
  #ids = 0;
  #elapsedMs = 0;

  /** Bytes of payloads that a hub may keep in memory; each message has one. */
  readonly payloadBudgetBytes: number | undefined;

  constructor({ parked, payloadBudgetBytes }: Pick<World, "parked"> & Partial<Pick<World, "payloadBudgetBytes">>) {
    this.parked = parked;
    this.payloadBudgetBytes = payloadBudgetBytes;
  }

  id(prefix: string): string {
    return `${prefix}:${++this.#ids}`;
  }

  openTab(): SimulatedTab {
    const tab = new SimulatedTab(this.id("tab"));
    this.everyTab.push(tab);
    return tab;
  }

  /** Everything that needs no more than a turn of the event loop. */
  quiet(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  async connect(tab: SimulatedTab): Promise<void> {
    if (tab.link || tab.gone || tab.asleepSince !== undefined) return;
    if (!this.#current?.reigns) await this.startHub();
    tab.connect(this.#current!);
  }

  /** A new hub takes over; one that is alive and owns the space is stolen from. */
  async startHub(): Promise<void> {
    if (this.#current?.reigns) this.#current.landed = this.landed.freeze();
    this.#current = new SimulatedHub({
      epoch: this.id("hub"),
      disk: this.disk,
      landed: this.landed,
      parked: this.parked,
      payloadBudgetBytes: this.payloadBudgetBytes,
    });
    this.hubs.push(this.#current);
    await this.#current.load();
  }

  hubDies(): void {
    this.#current?.die();
    this.#current = undefined;
    this.#dropCutLinks();
  }

  /** Hubs that were stolen from learn of it. */
  notice(): void {
    for (const hub of this.hubs) if (hub !== this.#current) hub.close();
  }

  async elapse(ms: number): Promise<void> {
    if (this.#elapsedMs + ms > LONGEST_MS) return;
    this.#elapsedMs += ms;
    await vi.advanceTimersByTimeAsync(ms);
  }

  /** Moves the clock, not the time that calls have. */
  stepClock(ms: number): void {
    vi.setSystemTime(Date.now() + ms);
    for (const hub of this.hubs) hub.looksAtClock();
  }

  leave(tab: SimulatedTab, how: "dies" | "says goodbye"): void {
    if (how === "dies") tab.die();
    else tab.sayGoodbye();
    this.tabs[this.tabs.indexOf(tab)] = this.openTab();
  }

  /** Lets everything happen that is under way; the disk works. */
  async rest(): Promise<void> {
    for (let rounds = 0; ; rounds++) {
      if (rounds > REST_WITHIN) expect.fail("it does not come to rest");
      await this.quiet();
      for (const tab of this.tabs) await this.connect(tab);
      await this.quiet();
      let moved = false;
      for (const link of this.hubs.flatMap((hub) => hub.links)) {
        if (link.cut || link.toHub.length === 0) continue;
        moved = true;
        link.hubReads();
      }
      await this.quiet();
      if (!this.disk.idle) {
        moved = true;
        this.disk.step(false);
        this.disk.answer();
        await this.quiet();
      }
      for (const tab of this.tabs) {
        if (!tab.link || tab.link.toTab.length === 0) continue;
        moved = true;
        tab.reads();
      }
      if (!moved && this.tabs.every(({ link, asleepSince }) => link ?? asleepSince !== undefined)) return;
    }
  }

  async close(): Promise<void> {
    for (const tab of new Set([...this.everyTab, ...this.tabs])) tab.die();
    for (const hub of this.hubs) hub.die();
    await this.quiet();
  }

  #dropCutLinks(): void {
    for (const tab of new Set([...this.everyTab, ...this.tabs])) {
      if (!tab.link?.cut) continue;
      tab.disconnect();
      if (tab.gone) tab.releaseLock();
    }
  }
}
