import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import { type Profile, openDiskProfile } from "./browser.js";
import { type Site, serve } from "./server.js";

export interface Stage {
  readonly site: Site;
  readonly profile: Profile;
  /** A tab that has joined the test's space, and has had an answer from its hub. */
  openTab(options?: object): Promise<Page>;
  /** Closes the browser and starts it again on the same profile. */
  restart(): Promise<void>;
}

/** One site for the file, a profile on disk for each of its tests. */
export function setStage(): Stage {
  let site: Site;
  let profile: Profile;
  beforeAll(async () => {
    site = await serve();
  });
  afterAll(() => site.close());
  beforeEach(async () => {
    profile = await openDiskProfile();
  });
  afterEach(() => profile.close());
  return {
    get site() {
      return site;
    },
    get profile() {
      return profile;
    },
    async openTab(options) {
      const page = await profile.open(site.origin);
      await page.evaluate((given) => {
        join("test", given);
        return q.stats();
      }, options);
      return page;
    },
    async restart() {
      profile = await profile.restart();
    },
  };
}
