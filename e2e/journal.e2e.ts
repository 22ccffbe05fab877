import { join } from "node:path";
import { createRequire } from "node:module";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, test } from "vitest";
import { build } from "vite";
import type {} from "./pages/journal.js";
import { type Profile, openDiskProfile } from "./support/browser.js";
import { type Site, serve } from "./support/server.js";

let site: Site;
let profile: Profile;
let page: Page;

beforeAll(async () => {
  await build({
    configFile: false,
    logLevel: "error",
    resolve: {
      alias: [{ find: /^dexie$/, replacement: createRequire(import.meta.url).resolve("dexie/dist/modern/dexie.mjs") }],
    },
    build: {
      outDir: ".out/journal-page",
      minify: false,
      lib: { entry: join("e2e", "pages", "journal.ts"), formats: ["es"], fileName: "journal" },
    },
  });
  site = await serve();
  profile = await openDiskProfile();
  page = await profile.open(site.origin, "/e2e/pages/journal.html");
});

afterAll(async () => {
  await profile.close();
  await site.close();
});

describe("the journal on IndexedDB, in real Chromium, on disk", () => {
  for (const seed of [1, 2]) {
    test(`owners one after the other: it does what the model does (seed ${seed})`, async () => {
      await page.evaluate((given) => journalRuns({ numRuns: 25, seed: given }), seed);
    });
  }
});
