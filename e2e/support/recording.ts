import type { Page } from "playwright-core";
import { type AnyCall, type ClockReading, type Note, callsOf } from "../../test/history/record.js";
import type { Profile } from "./browser.js";
import type { Site } from "./server.js";

const PAGE = "/e2e/pages/history.html";
const CLOCK_READINGS = 10;
/** Browsers round `performance.now()` to this, in milliseconds. */
const CLOCK_GRAIN = 0.1;

/** A record of what tabs do, kept by one that takes no part: a tab that dies leaves behind what it saw. */
export interface Recording {
  readonly keeper: Page;
  /** Opens a tab whose doings are recorded. */
  open(name: string): Promise<Page>;
  /** As `open`, in place of a tab that is loaded again. */
  reload(page: Page, name: string): Promise<void>;
  /** Until the keeper has so many more answers like this. */
  goesOn(count: number, answer: unknown): Promise<void>;
  calls(): Promise<AnyCall[]>;
}

export async function startRecording(profile: Profile, { origin }: Site): Promise<Recording> {
  const keeper = await profile.open(origin, PAGE);
  const clocks = new Map<string, ClockReading>();
  const begin = async (page: Page, name: string): Promise<void> => {
    await keeper.evaluate((tab) => keepRecordOf(tab), name);
    await page.evaluate((tab) => recordAs(tab, { kept: true }), name);
    clocks.set(name, await readClock(page));
  };
  return {
    keeper,
    async open(name) {
      const page = await profile.open(origin, PAGE);
      await begin(page, name);
      return page;
    },
    async reload(page, name) {
      await page.reload();
      await page.waitForFunction(() => document.title === "ready");
      await begin(page, name);
    },
    async goesOn(count, answer) {
      const arrived = (): Promise<number> =>
        keeper.evaluate((wanted) => notes.filter((note) => "value" in note && note.value === wanted).length, answer);
      for (const before = await arrived(); (await arrived()) < before + count;) await keeper.waitForTimeout(20);
    },
    async calls() {
      // As text: thousands of objects take seconds on this way, one text does not.
      return callsOf(JSON.parse(await keeper.evaluate(() => JSON.stringify(notes))) as Note[], clocks);
    },
  };
}

/** The clock of this process is the common one: what the page's shows was read between two readings of it. */
export async function readClock(page: Pick<Page, "evaluate">): Promise<ClockReading> {
  let best: ClockReading = { offset: 0, error: Infinity };
  for (let i = 0; i < CLOCK_READINGS; i++) {
    const before = performance.now();
    const shown = await page.evaluate(() => performance.now());
    const after = performance.now();
    const error = (after - before) / 2 + CLOCK_GRAIN;
    if (error < best.error) best = { offset: (before + after) / 2 - shown, error };
  }
  return best;
}
