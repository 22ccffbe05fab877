import { mkdirSync, writeFileSync } from "node:fs";
import { serve, type Site } from "../support/server.js";
import { ChaosBrowser } from "./browser.js";
import { type Plan, type Random, wayOf } from "./plan.js";
import { ChaosTab, Record, pause } from "./tab.js";

const PAGE = "/e2e/chaos/pages/tab.html";

/** Worker files, by what is special about them; their folders hold a `worker.js`. */
export type Builds = Readonly<{ [Build in "this" | "newer" | "older"]: string }>;

export interface Venue {
  readonly browser: ChaosBrowser;
  site: Site;
  readonly builds: Builds;
}

export async function openVenue(builds: Builds): Promise<Venue> {
  return { browser: new ChaosBrowser(), site: await serve(), builds };
}

export async function closeVenue({ browser, site }: Venue): Promise<void> {
  await browser.close();
  await site.close();
}

/** One seed's space, and the tabs in it. */
export class World {
  readonly plan: Plan;
  readonly random: Random;
  readonly venue: Venue;
  readonly record = new Record();
  readonly space: string;
  tabs: ChaosTab[] = [];
  /** Some hub's clock was moved. */
  stepped = false;
  /** Names of the hubs that there were, for `disturb`. */
  readonly #hubs = new Set<string>();
  readonly #later = new Set<Promise<unknown>>();
  #opened = 0;

  constructor(plan: Plan, random: Random, venue: Venue) {
    this.plan = plan;
    this.random = random;
    this.venue = venue;
    this.space = `seed${plan.seed}`;
  }

  /** Tabs that live, and to which something may be done. */
  get free(): ChaosTab[] {
    return this.tabs.filter(({ gone, busy }) => !gone && !busy);
  }

  get living(): ChaosTab[] {
    return this.tabs.filter(({ gone }) => !gone);
  }

  async open(build: keyof Builds = "this"): Promise<ChaosTab> {
    const n = this.#opened++;
    const id = String.fromCharCode(97 + n);
    const { mode, file } = wayOf(this.plan.hosting, n);
    const name = `${this.space}/${build === "this" ? "" : build}${mode === "elected-tab" ? id : file}`;
    this.#hubs.add(name);
    const load = {
      ...this.plan,
      seed: this.plan.seed * 1000 + n * 50,
      space: this.space,
      mode,
      hub: `${steered(this.venue.builds[build])}?space=${name}`,
      givesUp: this.plan.ordering !== "best_effort",
    };
    const page = await this.venue.browser.open(this.venue.site.origin + PAGE);
    const tab = await ChaosTab.begin(page, { id, record: this.record, load });
    this.tabs.push(tab);
    return tab;
  }

  /** Disturbs one hub, wherever it is, or all. */
  async disturb(command: object, { all = false } = {}): Promise<void> {
    const hubs = [...this.#hubs];
    for (const hub of all ? hubs : [this.random.pick(hubs)]) {
      await this.free[0]?.ask((name, given) => disturb(name, given), [hub, command]);
    }
  }

  /** The clock of one hub. Another hub has a clock of its own, so a death may be a step back. */
  step(stepMs: number): Promise<void> {
    this.stepped = true;
    return this.disturb({ stepMs });
  }

  /** Something that ends a fault, while others go on. */
  later(run: () => Promise<unknown>): void {
    const running = run().finally(() => this.#later.delete(running));
    running.catch(() => {});
    this.#later.add(running);
  }

  async calm(): Promise<void> {
    await Promise.all(this.#later);
  }

  /** Ends the hubs of this space. */
  async endHubs({ one = false } = {}): Promise<void> {
    const meant = one ? [this.random.pick([...this.#hubs])] : [...this.#hubs];
    await this.venue.browser.endWorkers((url) => meant.some((hub) => url.endsWith(`?space=${hub}`)));
    for (const tab of this.free) {
      if (tab.mode === "elected-tab") await tab.ask(() => endDedicated(), []);
    }
  }

  async setOnline(online: boolean): Promise<void> {
    const { venue } = this;
    const port = Number(new URL(venue.site.origin).port);
    if (online) venue.site = await serve({ port });
    else await venue.site.close();
    for (const { page } of this.living) await page.setOfflineMode(!online).catch(() => {});
  }

  async restart(killed: boolean): Promise<void> {
    const count = this.living.length;
    for (const tab of this.living) tab.died();
    this.tabs = [];
    await this.venue.browser.end({ killed });
    while (this.tabs.length < count) await this.open();
  }

  async close(): Promise<void> {
    for (const tab of this.tabs) await tab.close();
    // What is left of the space must not disturb the next.
    await this.venue.browser.endWorkers((url) => url.includes(`?space=${this.space}/`));
    await pause(10);
  }
}

/** A hub's file with what disturbs it in front. */
function steered(file: string): string {
  const folder = ".out/chaos";
  const made = `${folder}/steered${file.replaceAll(/[/.]/g, "-")}.js`;
  mkdirSync(folder, { recursive: true });
  writeFileSync(made, `import "/e2e/pages/edge.js";\nimport "${file}";\n`);
  return `/${made}`;
}
