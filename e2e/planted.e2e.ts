/** The checkers find bugs in systems that run: each hub here is the real one, but for one rule that is broken. */
import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { type Access, type MutexCall, type MutexRule, checkMutex, overtaken } from "../test/history/mutex-history.js";
import { type QueueRule, checkQueue } from "../test/history/queue-history.js";
import type { QueueCall } from "../test/history/queue-told.js";
import { until } from "./support/browser.js";
import { type Plant, buildBrokenHub } from "./support/broken-hub.js";
import { type Recording, startRecording } from "./support/recording.js";
import { setStage } from "./support/stage.js";

const stage = setStage();

interface Planted<Finding> {
  name: string;
  plants: Plant[];
  finds: Finding;
  /** It shows when a hub takes over from one that died. */
  kills?: boolean;
}

const queuePlants: Planted<QueueRule>[] = [
  {
    name: "a message is gone when its lease ends",
    plants: [
      {
        file: "engine/queue.ts",
        text: "(due = state.leases.take(now));) {",
        becomes: "(due = state.leases.take(now));) { remove(due.message, ctx); continue;",
      },
    ],
    finds: "lost",
  },
  {
    name: "some messages jump the line",
    plants: [
      {
        file: "engine/queue.ts",
        text: "priority: item.priority ?? DEFAULT_PRIORITY,",
        becomes: 'priority: item.messageId.endsWith("7") ? 4 : (item.priority ?? DEFAULT_PRIORITY),',
      },
    ],
    finds: "first in, first out",
  },
  {
    name: "a key does not wait for a message that is tried again later",
    plants: [
      {
        file: "engine/queue-ready.ts",
        text: "else lane.blockedBy = message;",
        becomes: 'else if (place.at !== "delayed") lane.blockedBy = message;',
      },
    ],
    finds: "order of a key",
  },
  {
    name: "a call that is sent again to the next hub has its effect again",
    plants: [
      { file: "worker/session-rows.ts", text: "call.seq > this.#inherited ?", becomes: "call.seq > 0 ?" },
      // Time to die between commit and reply.
      {
        file: "worker/committer.ts",
        text: "    release(settled, announced);\n  }",
        becomes: "    setTimeout(() => release(settled, announced), 20);\n  }",
      },
    ],
    finds: "settled twice",
    kills: true,
  },
];

const mutexPlants: Planted<MutexRule | "overtaken">[] = [
  {
    name: "who writes does not wait for who reads",
    plants: [
      {
        file: "engine/mutex-state.ts",
        text: 'return a === "exclusive" || b === "exclusive";',
        becomes: 'return a === "exclusive" && b === "exclusive";',
      },
    ],
    finds: "two holders",
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
    finds: "tokens went back",
    kills: true,
  },
  {
    name: "a new hub grants before tabs have said what they hold",
    plants: [
      {
        file: "worker/regroup.ts",
        text: "if (this.#over || !mayGrant(call.op)) return false;",
        becomes: "return false;",
      },
    ],
    finds: "overtaken",
    kills: true,
  },
];

describe("a planted bug shows in what tabs saw of a queue", () => {
  for (const { name, finds, kills, plants } of queuePlants) {
    test(`${name}: ${finds}`, async () => {
      const worker = await buildBrokenHub(plants);
      const ordering = finds === "order of a key" ? "ordering_key_partitioned" : "best_effort";
      const { recording, tabs } = await openTabs((page, tab, seed) =>
        page.evaluate((options) => useQueue(options), {
          space: "planted",
          senders: 5,
          queue: { ordering: { mode: ordering } },
          worker,
          tab,
          seed,
        }),
      );
      const isFound = async (): Promise<boolean> => {
        const calls = (await recording.calls()) as QueueCall[];
        return checkQueue({ ordering, calls, dead: [], left: [] }).some(({ rule }) => rule === finds);
      };
      if (finds !== "lost") return untilFound(recording, kills, isFound);
      await drain(recording, tabs);
      expect(await isFound()).toBe(true);
    });
  }
});

describe("a planted bug shows in what tabs saw of a mutex", () => {
  for (const { name, finds, kills, plants } of mutexPlants) {
    test(`${name}: ${finds}`, async () => {
      const worker = await buildBrokenHub(plants);
      const { recording, tabs } = await openTabs((page, _, seed) =>
        page.evaluate(
          (given) => {
            joinMutex(given);
            void contend(given);
          },
          { space: "planted", worker, seed, resources: ["one", "two"], contenders: 4, holdMs: 10 },
        ),
      );
      const register: Access[] = [];
      await untilFound(recording, kills, async () => {
        register.push(...(await tabs[0]!.evaluate(() => takeAccesses())));
        const history = { calls: (await recording.calls()) as MutexCall[], register, dead: [] };
        if (finds === "overtaken") return overtaken(history).length > 0;
        return checkMutex(history).some(({ rule }) => rule === finds);
      });
    });
  }
});

async function openTabs(
  begin: (page: Page, tab: string, seed: number) => Promise<void>,
): Promise<{ recording: Recording; tabs: Page[] }> {
  const recording = await startRecording(stage.profile, stage.site);
  const tabs: Page[] = [];
  for (const [i, name] of ["a", "b"].entries()) {
    const page = await recording.open(name);
    await begin(page, name, i * 1000);
    tabs.push(page);
  }
  return { recording, tabs };
}

/** Only in an empty queue it is clear that a message is lost, not under way. */
async function drain(recording: Recording, tabs: Page[]): Promise<void> {
  await recording.goesOn(400, true);
  for (const page of tabs) await page.evaluate(() => stopSending());
  await until(tabs[0]!, async () => (await q.stats()).depth === 0);
  for (const page of tabs) await page.evaluate(() => stopReceiving());
}

/** Tabs go on until the bug shows. Should it not, the test's time limit will say so. */
async function untilFound(
  recording: Recording,
  kills: boolean | undefined,
  isFound: () => Promise<boolean>,
): Promise<void> {
  do {
    if (kills) await stage.profile.killWorkers();
    await recording.goesOn(100, true);
  } while (!(await isFound()));
}
