/** Chaos finds bugs: each hub here is the real one, but for one rule that is broken. */
import { afterEach, expect, test } from "vitest";
import { type Plant, buildBrokenHub } from "../support/broken-hub.js";
import { print, runSeed } from "./seed.js";
import { type Venue, closeVenue, openVenue } from "./world.js";

/** Most are found by one of the first few. */
const SEEDS_AT_MOST = 40;

const bugs: { name: string; plants: Plant[]; finds: string[] }[] = [
  {
    name: "what is answered is not on disk yet",
    plants: [
      {
        file: "worker/committer.ts",
        text: "if (produced.every(({ turn }) => turn === 0)) return produced;",
        becomes: "return produced;",
      },
    ],
    finds: ["lost", "applied twice", "went back"],
  },
  {
    name: "a call that is sent again to the next hub has its effect again",
    plants: [{ file: "worker/session-rows.ts", text: "call.seq > this.#inherited ?", becomes: "call.seq > 0 ?" }],
    finds: ["settled twice", "phantom", "committed twice", "lost"],
  },
  {
    name: "a new hub does not know which tokens were given",
    plants: [
      {
        file: "engine/mutex.ts",
        text: "Math.max(token, state.mark + 1, Math.min(ctx.now * 1000, LATEST_CLOCK))",
        becomes: "4_000_000_000_000_000 - ctx.now * 1000",
      },
    ],
    finds: ["tokens went back", "overlap at the resource", "two holders"],
  },
  {
    name: "what a dead tab held stays with it",
    plants: [{ file: "worker/host.ts", text: "if (this.#leave(tab, true))", becomes: "if (tab === this.epoch)" }],
    finds: ["never drained", "unanswered", "never heard"],
  },
];

let venue: Venue;
afterEach(() => closeVenue(venue));

for (const { name, plants, finds } of bugs) {
  test(`${name}: ${finds.join(" or ")}`, { timeout: 0 }, async () => {
    const hub = await buildBrokenHub(plants);
    venue = await openVenue({ this: hub, newer: hub, older: hub });
    const found: string[] = [];
    for (let seed = 1; seed <= SEEDS_AT_MOST && !found.some((rule) => finds.includes(rule)); seed++) {
      const result = await runSeed(seed, venue);
      print(result);
      found.push(...result.violations.map(({ rule }) => rule));
      if (result.violations.length > 0) await venue.browser.end();
    }
    expect(finds.filter((rule) => found.includes(rule))).not.toEqual([]);
  });
}
