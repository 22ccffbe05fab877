import { mkdirSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildHub } from "../support/broken-hub.js";
import { type Result, print, runSeed } from "./seed.js";
import { type Venue, closeVenue, openVenue } from "./world.js";

/** Set by scripts/chaos.mjs, which says what they mean. */
const { SEED, SEEDS = "200", FROM = "1", MINUTES = "12" } = process.env;
const seeds = SEED ? [Number(SEED)] : Array.from({ length: Number(SEEDS) }, (_, i) => Number(FROM) + i);
/** What a browser gathers up over hours is not what is looked for here. */
const SEEDS_PER_BROWSER = 25;

let venue: Venue;

beforeAll(async () => {
  const [newer, older] = [await buildHub({ version: "99.0.0" }), await buildHub({ version: "0.0.9" })];
  venue = await openVenue({ this: "/dist/worker.js", newer, older });
});
afterAll(() => closeVenue(venue));

test("random faults under load break no promise", { timeout: 0 }, async () => {
  const results: Result[] = [];
  const until = performance.now() + Number(MINUTES) * 60_000;
  for (const seed of seeds) {
    if (performance.now() > until) break;
    const result = await runSeed(seed, venue);
    results.push(result);
    print(result);
    // One that failed may have left a browser behind in which others fail, too.
    if (result.violations.length > 0 || results.length % SEEDS_PER_BROWSER === 0) await venue.browser.end();
    mkdirSync(".out/chaos", { recursive: true });
    writeFileSync(".out/chaos/results.json", JSON.stringify({ asked: seeds.length, results }));
  }
  expect(results.filter(({ violations }) => violations.length > 0).map(({ plan }) => plan.seed)).toEqual([]);
});
