// oxlint-disable no-restricted-globals -- Date is a calendar here, never a clock
/**
 * Slots of a cron expression in a time zone. croner says which wall times match; which instants those are is decided
 * here:
 *
 * - Hour `*` or with a step from it: every instant at which the clocks show a matching time, a repeated hour twice.
 * - Other hours: once a day. A time that comes twice runs the first time; times that clocks skip run once, at the
 *   first instant after the gap.
 */
import { CronDate, CronPattern } from "croner";
import { type CronFields, parseCron } from "./cron-parse.js";
import { type TimeZone, timeZone } from "./time-zone.js";

/** The last instant that a Date can hold: a slot that never comes. */
export const NEVER = 8.64e15;

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

export interface Timetable {
  /** The first slot strictly after this instant, or `NEVER`. */
  next(after: number): number;
}

/** @throws `ValidationError` for an unknown zone, then for an expression that is not one. */
export function timetable(cron: string, tz: string): Timetable {
  const zone = timeZone(tz);
  const fields = parseCron(cron);
  const nextWall = wallTimes(fields);
  const next = fields.everyHour ? everyInstant(zone, nextWall) : oncePerDay(zone, nextWall);
  // A century before the end, so that looking around an instant stays within what a Date can hold.
  return { next: (after) => (after < NEVER - 36_525 * DAY ? next(after) : NEVER) };
}

type NextWall = (after: number) => number;

/** Matching wall times, strictly after one, in a calendar without zones. */
function wallTimes({ plain, bothDays }: CronFields): NextWall {
  const pattern = new CronPattern(plain, undefined, { mode: "5-part" });
  // Ten thousand entries that only patterns with years look at.
  pattern.year = [];
  return (after) => {
    const date = new CronDate(new Date(after), 0).increment(pattern, { domAndDow: bothDays }, true);
    return date === null ? NEVER : date.getTime();
  };
}

function oncePerDay(zone: TimeZone, nextWall: NextWall): NextWall {
  return (after) => {
    let wall = floorToMinute(zone.wallAt(after));
    // More than one turn only in a repeated hour, whose times have run, and right after a gap.
    for (;;) {
      wall = nextWall(wall);
      if (wall === NEVER) return NEVER;
      const [first = zone.afterGap(wall)] = zone.instantsOf(wall);
      if (first > after) return first;
    }
  };
}

function everyInstant(zone: TimeZone, nextWall: NextWall): NextWall {
  const firstAfter = (after: number, wallBefore: number): number => {
    for (let wall = wallBefore; ;) {
      wall = nextWall(wall);
      if (wall === NEVER) return NEVER;
      const instant = zone.instantsOf(wall).find((one) => one > after);
      if (instant !== undefined) return instant;
    }
  };
  return (after) => {
    const next = firstAfter(after, floorToMinute(zone.wallAt(after)));
    // Clocks that are set back soon show times again that lie before the next one.
    const change = zone.changeBetween(after, after + DAY);
    if (change === undefined || change >= next) return next;
    return Math.min(next, firstAfter(change - 1, floorToMinute(zone.wallAt(change) - 1)));
  };
}

function floorToMinute(instant: number): number {
  return Math.floor(instant / MINUTE) * MINUTE;
}
