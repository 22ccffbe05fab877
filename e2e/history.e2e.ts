import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { type MutexCall, type MutexHistory, checkMutex, grantsOf, overtaken } from "../test/history/mutex-history.js";
import { checkQueue } from "../test/history/queue-history.js";
import type { QueueCall, QueueHistory } from "../test/history/queue-told.js";
import { type AnyCall, grouped } from "../test/history/record.js";
import { until } from "./support/browser.js";
import { startRecording } from "./support/recording.js";
import { MODES, type Stage, setStage } from "./support/stage.js";

describe.each(MODES)("%s", (mode) => {
  const stage = setStage({ mode });

  describe("what four tabs saw of one queue, while one crashed, one was loaded again and the hub died twice", () => {
    for (const ordering of ["best_effort", "ordering_key_partitioned"] as const) {
      test(`keeps what the queue promises, ${ordering}`, async () => {
        const history = await queueHistory(stage, ordering);
        report(ordering, history);
        expect(checkQueue(history).slice(0, 20)).toEqual([]);
        expect(errorsIn(history)).toEqual([]);
      });
    }
  });

  describe("what four tabs saw of one mutex", () => {
    for (const durability of ["memory", "relaxed"] as const) {
      test(`keeps what it promises while one crashed, one was loaded again and the hub died twice, ${durability}`, async () => {
        const history = await mutexHistory(stage, { durability, disturbed: true });
        report(durability, history);
        expect(checkMutex(history).slice(0, 20)).toEqual([]);
        expect(errorsIn(history)).toEqual([]);
        // A tab that is too slow to tell a new hub what it holds is overtaken. Were it the rule, nothing would be told.
        expect(overtaken(history).length).toBeLessThan(grantsOf(history).length / 20);
      });
    }

    test("shows no lock overtaken as long as the hub lives", async () => {
      const history = await mutexHistory(stage, { durability: "memory", disturbed: false });
      report("memory, undisturbed", history);
      expect(checkMutex(history).slice(0, 20)).toEqual([]);
      expect(errorsIn(history)).toEqual([]);
      expect(overtaken(history)).toEqual([]);
    });
  });
});

async function queueHistory(stage: Stage, ordering: QueueHistory["ordering"]): Promise<QueueHistory> {
  const recording = await startRecording(stage.profile, stage.site);
  const options = {
    space: "history",
    mode: stage.mode,
    queue: { ordering: { mode: ordering } },
    givesUp: ordering !== "best_effort",
  };
  const names = ["a", "b", "crashed", "reloaded"];
  const tabs = await Promise.all(names.map((name) => recording.open(name)));
  for (const [i, page] of tabs.entries()) {
    await page.evaluate((given) => useQueue(given), { ...options, tab: names[i], seed: i * 1000 });
  }
  const [a, b, crashed, reloaded] = tabs as [Page, Page, Page, Page];
  const goOn = (): Promise<void> => recording.goesOn(150, true);
  await goOn();
  await stage.profile.killHubs();
  await goOn();
  await stage.profile.crash(crashed);
  await goOn();
  await recording.reload(reloaded, "again");
  await reloaded.evaluate((given) => useQueue(given), { ...options, tab: "again", seed: 4000 });
  await goOn();
  await stage.profile.killHubs();
  await goOn();

  const alive = [a, b, reloaded];
  await Promise.all(alive.map((page) => page.evaluate(() => stopSending())));
  await until(a, async () => (await q.stats()).depth === 0);
  await Promise.all(alive.map((page) => page.evaluate(() => stopReceiving())));
  return {
    ordering,
    calls: (await recording.calls()) as QueueCall[],
    dead: ["crashed", "reloaded"],
    left: await a.evaluate(() => deadLetters()),
  };
}

async function mutexHistory(
  stage: Stage,
  {
    durability,
    disturbed,
  }: {
    durability: "memory" | "relaxed";
    disturbed: boolean;
  },
): Promise<MutexHistory> {
  const recording = await startRecording(stage.profile, stage.site);
  const resources = ["one", "two", "three"];
  const contendIn = async (page: Page, seed: number): Promise<void> => {
    await page.evaluate(
      ([given, mode]) => {
        joinMutex({ space: "history", mode });
        void contend(given);
      },
      [{ durability, resources, seed, contenders: 4, expires: true }, stage.mode] as const,
    );
  };
  const tabs = await Promise.all(["a", "b", "crashed", "reloaded"].map((name) => recording.open(name)));
  for (const [i, page] of tabs.entries()) await contendIn(page, i);
  const [a, b, crashed, reloaded] = tabs as [Page, Page, Page, Page];
  const goOn = (): Promise<void> => recording.goesOn(150, true);
  await goOn();
  if (disturbed) {
    await stage.profile.killHubs();
    await goOn();
    await stage.profile.crash(crashed);
    await goOn();
    await recording.reload(reloaded, "again");
    await contendIn(reloaded, 4);
    await goOn();
    await stage.profile.killHubs();
    await goOn();
  } else for (let i = 0; i < 4; i++) await goOn();

  await Promise.all(
    tabs.filter((page) => page !== crashed || !disturbed).map((page) => page.evaluate(() => stopContending())),
  );
  // Nothing is held by anybody any more, by those who died least of all.
  expect(await b.evaluate((kept) => mutexes[kept].stats(), durability)).toEqual({ held: 0, resources: 0, waiters: 0 });
  return {
    calls: (await recording.calls()) as MutexCall[],
    dead: disturbed ? ["crashed", "reloaded"] : [],
    register: await a.evaluate(() => takeAccesses()),
  };
}

/** Nothing of what was asked for could be refused. Who gave up is told so. */
function errorsIn({ calls }: { calls: readonly AnyCall[] }): unknown[] {
  return calls.filter(({ outcome }) => outcome && "error" in outcome && outcome.error !== "ABORTED");
}

function report(title: string, { calls }: { calls: readonly AnyCall[] }): void {
  const counts = [...grouped(calls, ({ op }) => op)].map(([op, { length }]) => `${length} ${op}`);
  console.log(`${title}: ${counts.join(", ")}`);
}
