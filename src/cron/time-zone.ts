// oxlint-disable no-restricted-globals -- Date is a calendar here, never a clock
import { ValidationError } from "../protocol/errors.js";

/**
 * Wall times of a zone. A wall time is written as the instant at which a UTC clock would show it, so that both are
 * milliseconds and a zone's offset is wall − instant.
 */
export interface TimeZone {
  wallAt(instant: number): number;
  /** The instants at which the zone's clocks show this: one; two when they are set back over it, the earlier first. */
  instantsOf(wall: number): number[];
  /** For a wall time that clocks were set forward over: the first instant after it. */
  afterGap(wall: number): number;
  /** The change of offset in (after, until], if there is one. */
  changeBetween(after: number, until: number): number | undefined;
}

const HOUR = 3_600_000;
/** Offsets from UTC lie within these hours, and no two changes of a zone are as close. */
const WEST = 13 * HOUR;
const EAST = 15 * HOUR;
const MAX_ZONES = 500;

const zones = new Map<string, TimeZone>();

/** @throws `ValidationError` for a zone that this runtime does not know. */
export function timeZone(name: string): TimeZone {
  let zone = zones.get(name);
  if (zone === undefined) {
    // Names differ in case, so that there are more of them than zones.
    if (zones.size >= MAX_ZONES) zones.clear();
    zones.set(name, (zone = createZone(formatterOf(name))));
  }
  return zone;
}

function formatterOf(name: string): Intl.DateTimeFormat {
  try {
    if (typeof name !== "string" || name === "") throw new RangeError();
    return new Intl.DateTimeFormat("en-US", {
      timeZone: name,
      hourCycle: "h23",
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
    });
  } catch {
    const message = `${JSON.stringify(name)} is not a time zone`;
    throw new ValidationError(message, [{ message, path: ["tz"] }]);
  }
}

function createZone(formatter: Intl.DateTimeFormat): TimeZone {
  const offsetAt = (instant: number): number => {
    const [month, day, year, hour, minute, second] = formatter.format(instant).match(/\d+/g)!.map(Number) as [
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(instant / 1000) * 1000;
  };
  const changeBetween = (after: number, until: number): number | undefined => {
    const offset = offsetAt(until);
    if (offsetAt(after) === offset) return undefined;
    let [low, high] = [Math.floor(after / 1000), Math.ceil(until / 1000)];
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (offsetAt(middle * 1000) === offset) high = middle;
      else low = middle;
    }
    return high * 1000;
  };
  return {
    wallAt: (instant) => instant + offsetAt(instant),
    instantsOf(wall) {
      const [before, after] = [offsetAt(wall - EAST), offsetAt(wall + WEST)];
      if (before === after) return [wall - before];
      return [wall - before, wall - after].filter((instant) => instant + offsetAt(instant) === wall);
    },
    afterGap: (wall) => changeBetween(wall - EAST, wall + WEST) ?? wall,
    changeBetween,
  };
}
