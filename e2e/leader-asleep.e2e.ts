/** An elected tab that falls asleep: it hands the space on in that moment, for a sleeping page keeps whatever it holds. */
import { describe, expect, test } from "vitest";
import type { Tab } from "./engines/driver.js";
import { setSleepers, until } from "./support/sleepers.js";

const sleepers = setSleepers("/e2e/pages/blank.html");
const openTab = (): Promise<Tab> => sleepers.openTab({ mode: "elected-tab" });
const statusOf = (tab: Tab) => tab.evaluate(() => backend.status);

const ways: Record<string, { fallAsleep(tab: Tab): Promise<unknown>; wake(tab: Tab): Promise<unknown> }> = {
  frozen: { fallAsleep: (tab) => tab.setFrozen(true), wake: (tab) => tab.setFrozen(false) },
  "in the back/forward cache": { fallAsleep: sleepers.leave, wake: sleepers.comeBack },
};

describe("a leader that is", () => {
  test.each(Object.keys(ways))(
    "%s leaves the space to the others at once, and comes back as one of them",
    async (way) => {
      const { fallAsleep, wake } = ways[way]!;
      const [leader, a, b] = [await openTab(), await openTab(), await openTab()];
      const before = (await statusOf(a)).epoch;
      await leader.evaluate(async () => {
        await listenTo(t);
        await sendAll(5, { inFlight: 1 });
        // Under way when it falls asleep.
        sleep.sending = Promise.all(Array.from({ length: 50 }, (_, i) => q.send({ data: { i: i + 5 } })));
      });
      await fallAsleep(leader);
      const begun = Date.now();
      await a.evaluate(async () => {
        await sendAll(1, { from: 100 });
        await t.pub({ data: "while it slept" });
      });
      console.log(`another tab led, and had answered, ${Date.now() - begun} ms after the leader was ${way}`);
      const owner = (await statusOf(a)).epoch;
      expect(owner).not.toBe(before);
      expect((await statusOf(b)).epoch).toBe(owner);

      await wake(leader);
      expect(await leader.evaluate(async () => (await sleep.sending).length)).toBe(50);
      await until(leader, () => seen.length === 1);
      await leader.evaluate(() => sendAll(1, { from: 101 }));
      // Each once, and those of one sender in their order.
      const got = await b.evaluate(async () => (await q.recvMany({ max: 100, wait: false })).map(({ data }) => data.i));
      expect(got.filter((i) => i < 100)).toEqual(Array.from({ length: 55 }, (_, i) => i));
      expect(got.filter((i) => i >= 100)).toEqual([100, 101]);
      expect(await statusOf(leader)).toMatchObject({ mode: "elected-tab", epoch: owner, connected: true });
      await until(a, () => backend.status.tabs === 3);
    },
  );
});
