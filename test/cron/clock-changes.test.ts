import { describe, expect, test } from "vitest";
import { timetable } from "../../src/cron/cron.js";
import { clockChanges, minutesOf, slotsByHand } from "./by-hand.js";

const HOUR = 3_600_000;

/** Ten years of each, chosen for what was odd in them. */
const ZONES: Record<string, { from: number; changes: number }> = {
  "Europe/Berlin": { from: 2020, changes: 20 },
  "America/New_York": { from: 2020, changes: 20 },
  // Half an hour.
  "Australia/Lord_Howe": { from: 2015, changes: 20 },
  // At a quarter to three and to four, and far ahead of UTC.
  "Pacific/Chatham": { from: 2015, changes: 20 },
  // Back for Ramadan and forth again.
  "Africa/Casablanca": { from: 2012, changes: 30 },
  // A whole day left out: 30 December 2011.
  "Pacific/Apia": { from: 2009, changes: 18 },
  // Forward at midnight: those days begin at one o'clock.
  "America/Sao_Paulo": { from: 2009, changes: 20 },
  "Asia/Tehran": { from: 2013, changes: 20 },
  // Never the same rule twice.
  "Asia/Gaza": { from: 2008, changes: 20 },
  // Two hours.
  "Antarctica/Troll": { from: 2015, changes: 20 },
  // Half an hour back, and forward again three years later.
  "Asia/Pyongyang": { from: 2012, changes: 2 },
  "America/Caracas": { from: 2007, changes: 2 },
};

/** How far before and after a change of the clock. */
const SPANS = { day: 26 * HOUR, hours: 3 * HOUR };

const EXPRESSIONS: Record<string, keyof typeof SPANS> = {
  "* * * * *": "hours",
  "* 0-23 * * *": "hours",
  "*/5 * * * *": "hours",
  "*/10 0,1,2,3 * * *": "day",
  "30 * * * *": "day",
  "15 */2 * * *": "day",
  "0 0 * * *": "day",
  "0 12 * * *": "day",
  "30 2 * * *": "day",
  "0,30 0-4 * * *": "day",
  "45 1,2,23 * * 0,6": "day",
  "10 0 30 12 *": "day",
};

/** Instants around a change from which the next slot is asked, in milliseconds. */
const PROBES = [-31, 0, 1, 31, 61].flatMap((minutes) => [minutes * 60_000 - 1, minutes * 60_000]);

describe("every change of the clock in ten years", () => {
  test.each(Object.entries(ZONES))(
    "%s",
    (tz, { from, changes: expected }) => {
      const changes = clockChanges(tz, Date.UTC(from, 0, 1), Date.UTC(from + 10, 0, 1));
      expect(changes.length).toBeGreaterThanOrEqual(expected);
      for (const change of changes) {
        const minutes = minutesOf(tz, change - SPANS.day, change + SPANS.day);
        for (const [cron, span] of Object.entries(EXPRESSIONS)) {
          const [first, last] = [change - SPANS[span], change + SPANS[span]];
          const byHand = slotsByHand(cron, minutes).filter((slot) => slot > first && slot <= last);
          const where = `${cron} around ${new Date(change).toISOString()}`;
          expect(slotsBetween(cron, tz, first, last), `${where}`).toEqual(byHand);
          const { next } = timetable(cron, tz);
          for (const probe of PROBES.map((offset) => change + offset)) {
            const following = byHand.find((slot) => slot > probe) ?? next(last);
            expect(next(probe), `${where}, from ${new Date(probe).toISOString()}`).toBe(following);
          }
        }
      }
    },
    120_000,
  );
});

function slotsBetween(cron: string, tz: string, first: number, last: number): number[] {
  const slots: number[] = [];
  const { next } = timetable(cron, tz);
  for (let slot = first; (slot = next(slot)) <= last;) slots.push(slot);
  return slots;
}
