import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { NEVER, timetable } from "../../src/cron/cron.js";
import { parseCron } from "../../src/cron/cron-parse.js";
import { ValidationError } from "../../src/protocol/errors.js";
import { minutesOf, slotsByHand } from "./by-hand.js";

const HOUR = 3_600_000;

/** The next slots after an instant, in ISO to the minute. */
function slots(cron: string, after: string, { tz = "UTC", count = 3 } = {}): string[] {
  const { next } = timetable(cron, tz);
  const found: string[] = [];
  for (let at = Date.parse(after); found.length < count;) {
    at = next(at);
    found.push(new Date(at).toISOString().slice(0, 16));
  }
  return found;
}

describe("expressions", () => {
  test.each([
    ["5 fields", "30 4 1 6 *", ["2024-06-01T04:30", "2025-06-01T04:30", "2026-06-01T04:30"]],
    ["lists", "0,20 3 * * *", ["2024-01-01T03:00", "2024-01-01T03:20", "2024-01-02T03:00"]],
    ["ranges", "58-59 0 * * *", ["2024-01-01T00:58", "2024-01-01T00:59", "2024-01-02T00:58"]],
    ["steps", "*/25 * * * *", ["2024-01-01T00:25", "2024-01-01T00:50", "2024-01-01T01:00"]],
    ["stepped ranges", "10-40/15 0 * * *", ["2024-01-01T00:10", "2024-01-01T00:25", "2024-01-01T00:40"]],
    ["steps in a list", "*/30,7 * * * *", ["2024-01-01T00:07", "2024-01-01T00:30", "2024-01-01T01:00"]],
    ["names of months", "0 0 1 MAR,Jun *", ["2024-03-01T00:00", "2024-06-01T00:00", "2025-03-01T00:00"]],
    ["names of days in a range", "0 0 * * sat-sun", ["2024-01-06T00:00", "2024-01-07T00:00", "2024-01-13T00:00"]],
    ["tabs and outer blanks", " 0\t0 2 * * ", ["2024-01-02T00:00", "2024-02-02T00:00", "2024-03-02T00:00"]],
    ["@hourly", "@hourly", ["2024-01-01T01:00", "2024-01-01T02:00", "2024-01-01T03:00"]],
    ["@daily", "@daily", ["2024-01-02T00:00", "2024-01-03T00:00", "2024-01-04T00:00"]],
    ["@midnight", "@midnight", ["2024-01-02T00:00", "2024-01-03T00:00", "2024-01-04T00:00"]],
    ["@weekly", "@weekly", ["2024-01-07T00:00", "2024-01-14T00:00", "2024-01-21T00:00"]],
    ["@monthly", "@monthly", ["2024-02-01T00:00", "2024-03-01T00:00", "2024-04-01T00:00"]],
    ["@yearly", "@yearly", ["2025-01-01T00:00", "2026-01-01T00:00", "2027-01-01T00:00"]],
    ["@annually", "@Annually", ["2025-01-01T00:00", "2026-01-01T00:00", "2027-01-01T00:00"]],
  ])("are read: %s", (_, cron, expected) => {
    expect(slots(cron, "2024-01-01T00:00Z")).toEqual(expected);
  });

  const monday = "2024-01-01T00:00Z";

  test("0 and 7 are Sunday", () => {
    for (const sunday of ["0", "7", "sun"])
      expect(slots(`0 0 * * ${sunday}`, monday, { count: 1 })).toEqual(["2024-01-07T00:00"]);
  });

  test("0-7 over day of week is every day, */2 is Sunday, Tuesday, Thursday, Saturday", () => {
    expect(slots("0 0 * * 0-7", monday)).toEqual(["2024-01-02T00:00", "2024-01-03T00:00", "2024-01-04T00:00"]);
    expect(slots("0 0 * * */2", monday)).toEqual(["2024-01-02T00:00", "2024-01-04T00:00", "2024-01-06T00:00"]);
    expect(slots("0 0 * * 5-7", monday)).toEqual(["2024-01-05T00:00", "2024-01-06T00:00", "2024-01-07T00:00"]);
  });

  test("day of month or day of week, when neither begins with a star", () => {
    expect(slots("0 0 13 * 5", monday)).toEqual(["2024-01-05T00:00", "2024-01-12T00:00", "2024-01-13T00:00"]);
  });

  test("day of month and day of week, when one begins with a star", () => {
    expect(slots("0 0 * * 5", monday)).toEqual(["2024-01-05T00:00", "2024-01-12T00:00", "2024-01-19T00:00"]);
    expect(slots("0 0 */2 * 5", monday)).toEqual(["2024-01-05T00:00", "2024-01-19T00:00", "2024-02-09T00:00"]);
    expect(slots("0 0 13 * *", monday, { count: 1 })).toEqual(["2024-01-13T00:00"]);
  });

  test.each([
    ["nothing", ""],
    ["too few fields", "* * * *"],
    ["six fields", "0 * * * * *"],
    ["seven fields", "0 * * * * * *"],
    ["lines", "0 0\n* * *"],
    ["L", "0 0 L * *"],
    ["the last Friday", "0 0 * * 5L"],
    ["#", "0 0 * * 1#2"],
    ["W", "0 0 15W * *"],
    ["?", "0 0 ? * 1"],
    ["+", "0 0 1 * +1"],
    ["a sign", "-5 * * * *"],
    ["hexadecimal", "0x10 * * * *"],
    ["an exponent", "1e1 * * * *"],
    ["a fraction", "1.5 * * * *"],
    ["a range of three", "1-2-3 * * * *"],
    ["a step of a step", "*/2/3 * * * *"],
    ["a step of nothing", "/5 * * * *"],
    ["a step of a number", "5/10 * * * *"],
    ["step 0", "*/0 * * * *"],
    ["a step longer than the field", "*/90 * * * *"],
    ["an open range", "5- * * * *"],
    ["a range that runs backwards", "30-10 * * * *"],
    ["days that run backwards", "0 0 * * 5-2"],
    ["an empty entry", "1,,2 * * * *"],
    ["a list that ends in a comma", "1, * * * *"],
    ["minute 60", "60 * * * *"],
    ["hour 24", "0 24 * * *"],
    ["day 0", "0 0 0 * *"],
    ["day 32", "0 0 32 * *"],
    ["month 0", "0 0 1 0 *"],
    ["month 13", "0 0 1 13 *"],
    ["day of week 8", "0 0 * * 8"],
    ["a name in the wrong field", "jan * * * *"],
    ["a long name", "0 0 * * monday"],
    ["a name that is none", "0 0 * * abc"],
    ["@reboot", "@reboot"],
    ["@every", "@every 5m"],
    ["a name of Object", "constructor"],
    ["30 February", "0 0 30 2 *"],
    ["31 of short months", "0 0 31 2,4,6,9,11 *"],
    ["30 February on even weekdays", "0 0 30 2 */2"],
    ["a text without end", `${"1,".repeat(1000)}1 * * * *`],
    ["no text", null as unknown as string],
  ])("are refused: %s", (_, cron) => {
    expect(() => timetable(cron, "UTC")).toThrow(ValidationError);
  });

  test.each(["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 30 2 */2"])(
    "dates that never come are refused by reading alone, without a search for them: %s",
    (cron) => {
      expect(() => parseCron(cron)).toThrow(ValidationError);
    },
  );

  test.each(["Mars/Olympus", "", "UTC+25", "+25:00", " UTC", null as unknown as string])(
    "zones are refused: %s",
    (tz) => {
      expect(() => timetable("* * * * *", tz)).toThrow(ValidationError);
    },
  );

  test("the zone is looked at before the expression", () => {
    expect(() => timetable("nonsense", "Mars/Olympus")).toThrow(/is not a time zone/);
  });
});

describe("the next slot", () => {
  test("is strictly after the instant, however little before a slot that is", () => {
    const { next } = timetable("0 12 * * *", "Europe/Berlin");
    const noon = Date.parse("2024-05-05T10:00Z");
    expect(next(noon - 1)).toBe(noon);
    expect(next(noon)).toBe(noon + 24 * HOUR);
    expect(next(noon + 1)).toBe(noon + 24 * HOUR);
  });

  test("reaches 29 February across a leap year that is left out", () => {
    expect(slots("0 0 29 2 *", "2096-03-01T00:00Z", { count: 1 })).toEqual(["2104-02-29T00:00"]);
    // On a Sunday: forty years.
    expect(slots("0 0 29 2 */7", "2088-03-01T00:00Z", { count: 1 })).toEqual(["2128-02-29T00:00"]);
  });

  test("comes to an end with the calendar", () => {
    const { next } = timetable("* * * * *", "Europe/Berlin");
    expect(next(NEVER)).toBe(NEVER);
    expect(next(NEVER - 1)).toBe(NEVER);
    expect(next(Date.UTC(3500, 0, 1))).toBe(NEVER);
  });

  test("is found without going through the time between", () => {
    const { next } = timetable("59 23 29 2 */7", "Asia/Gaza");
    for (let at = Date.UTC(2024, 0, 1), i = 0; i < 20; i++) {
      const following = next(at);
      expect(following).toBeGreaterThan(at);
      at = following;
    }
  });
});

const numbers = (min: number, max: number): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 3, arbitrary: fc.constant("*") },
    { weight: 2, arbitrary: fc.integer({ min: 1, max: max - min }).map((step) => `*/${step}`) },
    { weight: 4, arbitrary: fc.integer({ min, max }).map(String) },
    {
      weight: 3,
      arbitrary: fc
        .tuple(fc.integer({ min, max }), fc.integer({ min, max }), fc.constantFrom("", "/2", "/3"))
        .map(([a, b, step]) => `${Math.min(a, b)}-${Math.max(a, b)}${step}`),
    },
    { weight: 1, arbitrary: fc.array(fc.integer({ min, max }), { minLength: 2, maxLength: 4 }).map(String) },
  );

const expression = fc
  .tuple(numbers(0, 59), numbers(0, 23), numbers(1, 31), fc.constant("*"), numbers(0, 7))
  .map((fields) => fields.join(" "));

test("any expression at any time in any zone has the slots that are worked out by hand", () => {
  const zone = fc.constantFrom(
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Asia/Gaza",
    "America/Sao_Paulo",
  );
  // The minutes of the weeks around the equinoxes see the clocks change more often than not.
  const minute = fc
    .tuple(fc.integer({ min: 2008, max: 2018 }), fc.constantFrom(2, 9), fc.integer({ min: 0, max: 35 * 24 * 60 }))
    .map(([year, month, offset]) => Date.UTC(year, month, 1) + offset * 60_000);
  fc.assert(
    fc.property(expression, zone, minute, fc.nat(59_999), (cron, tz, from, rest) => {
      const until = from + 30 * HOUR;
      // A day more before it, for a gap may begin there.
      const byHand = slotsByHand(cron, minutesOf(tz, from - 26 * HOUR, until)).filter((slot) => slot > from + rest);
      const { next } = timetable(cron, tz);
      const first = next(from + rest);
      expect(first > until ? undefined : first).toBe(byHand[0]);
    }),
    { numRuns: 300, seed: 7 },
  );
}, 120_000);
