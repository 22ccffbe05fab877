import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { build } from "vite";
import { casesOf, fullName } from "../test/conformance/conformance.js";
import { type CaseOutcome, writeOutcomes } from "../test/conformance/table.js";
import { type Profile, openDiskProfile } from "./support/browser.js";
import { type Site, serve } from "./support/server.js";

let site: Site;
let profile: Profile;
let page: Page;
/** Hosts the hub of "elected+indexeddb": the page that runs the cases reaches it through the relay. */
let host: Page;

beforeAll(async () => {
  // The package itself stays outside: the page gets it from its import map, as it was built.
  await build({
    configFile: false,
    logLevel: "error",
    build: {
      outDir: ".out/conformance-page",
      minify: false,
      lib: { entry: join("test", "conformance", "browser.ts"), formats: ["es"], fileName: "cases" },
      rolldownOptions: { external: ["tabloom"] },
    },
  });
  site = await serve();
  profile = await openDiskProfile();
  page = await profile.open(site.origin, "/e2e/pages/conformance.html");
  host = await profile.open(site.origin, "/e2e/pages/conformance.html");
  await host.evaluate(() => conformance.host());
});

afterAll(async () => {
  await profile.close();
  await site.close();
});

describe("conformance of queues whose payloads wait on disk", () => {
  const queues = casesOf().filter(({ primitive, skip }) => primitive === "queue" && !skip["hub+indexeddb"]);
  test.each(queues.map(fullName))("%s", async (name) => {
    await page.evaluate((title) => conformance.run(title, "hub+spilled"), name);
  });
});

for (const backend of ["hub+indexeddb", "hub+memory", "elected+indexeddb"] as const) {
  const outcomes: CaseOutcome[] = [];

  describe(`conformance on ${backend}, real Chromium`, () => {
    afterAll(() => writeOutcomes(backend, outcomes));

    for (const conformanceCase of casesOf()) {
      const { primitive, name } = conformanceCase;
      test(fullName(conformanceCase), async ({ skip }) => {
        const reason = conformanceCase.skip[backend];
        if (reason !== undefined) {
          outcomes.push({ primitive, name, result: "skipped", reason });
          return skip(reason);
        }
        try {
          await page.evaluate(([title, world]) => conformance.run(title, world), [
            fullName(conformanceCase),
            backend,
          ] as const);
          outcomes.push({ primitive, name, result: "passed" });
        } catch (error) {
          outcomes.push({ primitive, name, result: "failed", reason: String(error) });
          throw error;
        }
      });
    }
  });
}

test("the hub of the elected tab was another tab's all the time", () => {
  expect(host.workers()).toHaveLength(1);
});
