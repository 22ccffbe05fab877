import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import type { BackendStatus } from "../../src/index.js";
import { type Profile, openDiskProfile } from "./browser.js";
import { type Site, serve } from "./server.js";

/** The ways of hosting in which tabs share a hub: each passes the same tests. */
export const MODES = ["shared-worker", "elected-tab"] as const satisfies Mode[];

export type Mode = BackendStatus["mode"];

export interface Stage {
  /** How its tabs find their hub; undefined: as they do by default. */
  readonly mode: Mode | undefined;
  readonly site: Site;
  readonly profile: Profile;
  /** A tab that has joined the test's space, and has had an answer from its hub. */
  openTab(options?: object): Promise<Page>;
  /** Closes the browser and starts it again on the same profile. */
  restart(): Promise<void>;
}

export interface StageOptions {
  mode?: Mode;
  browserArgs?: string[];
}

/** One site for the file, a profile on disk for each of its tests. */
export function setStage({ mode, browserArgs }: StageOptions = {}): Stage {
  let site: Site;
  let profile: Profile;
  beforeAll(async () => {
    site = await serve();
  });
  afterAll(() => site.close());
  beforeEach(async () => {
    profile = await openDiskProfile(undefined, browserArgs);
  });
  afterEach(() => profile.close());
  return {
    mode,
    get site() {
      return site;
    },
    get profile() {
      return profile;
    },
    async openTab(options) {
      const page = await profile.open(site.origin);
      await page.evaluate(
        (given) => {
          join("test", given);
          return q.stats();
        },
        { mode, ...options },
      );
      return page;
    },
    async restart() {
      profile = await profile.restart();
    },
  };
}
