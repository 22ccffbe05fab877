import { expect } from "vitest";
import { NEWER } from "../builds.js";
import { type Scenario, upTo } from "../scenario.js";
import { until } from "../stage.js";

const directions = ["the newer comes", "the older comes"] as const;

export const versions: readonly Scenario[] = directions.map(twoBuilds);

function twoBuilds(direction: (typeof directions)[number]): Scenario {
  return {
    fault: `two builds at once: ${direction}`,
    checks: "tabs of both share the newer one's hub; calls under way finish, none lost or doubled, in order",
    async run({ openTab, space }) {
      const builds = direction === directions[0] ? ["/dist", NEWER.folder] : [NEWER.folder, "/dist"];
      const first = await openTab({ build: builds[0]! });
      await first.evaluate(() => keepSending());
      await until(first, () => accepted.length >= 20);
      const second = await openTab({ build: builds[1]! });
      const [newer, older] = direction === directions[0] ? [second, first] : [first, second];
      const had = await first.evaluate(() => accepted.length);
      await until(first, (count) => accepted.length >= count, had + 50);
      const epochs = async (): Promise<string[]> => [
        await newer.evaluate(() => backend.status.epoch),
        await older.evaluate(() => backend.status.epoch),
      ];
      while (new Set(await epochs()).size !== 1) await new Promise((resolve) => setTimeout(resolve, 20));
      // Each hub that could own holds a lock that names its build; the owner's is in the worker that holds the space.
      const owner = await newer.evaluate(async (name) => {
        const { held = [] } = await navigator.locks.query();
        const owning = held.find((lock) => lock.name === `tabloom:${name}:owner`)!;
        const hubs = held.filter((lock) => lock.clientId === owning.clientId);
        return hubs.map((lock) => /:candidate\/\d+\/([^/]+)/.exec(lock.name!)?.[1]).find(Boolean) ?? null;
      }, space);
      if (owner !== null) expect(owner).toBe(NEWER.version);
      const sent = await first.evaluate(() => endSending());
      expect(await second.evaluate(() => takeAll())).toEqual(sent);
      await older.evaluate(() => sendAll(10, { inFlight: 1 }));
      expect(await newer.evaluate(() => takeAll())).toEqual(upTo(10));
    },
  };
}
