import { describe, expect, test } from "vitest";
import { ValidationError } from "../protocol/errors.js";
import { delay, duration, identifier, integer, optionalText } from "./ranges.js";

describe("ranges", () => {
  test.each([Number.NaN, Infinity, -Infinity, 1.5, 2 ** 53, "1", null, undefined, 1n])("%s is no integer", (value) => {
    expect(() => integer("n", value, { min: -10 })).toThrow(RangeError);
  });

  test("both ends belong to the range, and the message says them", () => {
    expect([integer("n", 1, { min: 1, max: 3 }), integer("n", 3, { min: 1, max: 3 })]).toEqual([1, 3]);
    expect(() => integer("n", 0, { min: 1, max: 3 })).toThrow("n must be an integer from 1 to 3, not 0");
    expect(() => integer("n", 4, { min: 1, max: 3 })).toThrow(RangeError);
    expect(() => integer("n", 0, { min: 1 })).toThrow("n must be an integer at least 1, not 0");
  });

  test("a delay may be 0, a duration not; both stay safe when added to now", () => {
    expect(delay("ms", 0)).toBe(0);
    expect(() => duration("ms", 0)).toThrow(RangeError);
    expect(() => delay("ms", -1)).toThrow(RangeError);
    const longest = Number.MAX_SAFE_INTEGER - 2 ** 44;
    expect(Number.isSafeInteger(Date.now() + duration("ms", longest))).toBe(true);
    expect(() => duration("ms", longest + 1)).toThrow(RangeError);
  });

  test("identifiers: 1 to 256 characters of well-formed Unicode", () => {
    for (const good of ["a", "x".repeat(256), ":", "ä😀", "\u0000"]) expect(identifier("id", good)).toBe(good);
    for (const bad of ["", "x".repeat(257), "\ud800", "a\udc00b", 1, undefined, null]) {
      expect(() => identifier("id", bad)).toThrow(ValidationError);
    }
  });

  test("an empty optional text is none", () => {
    expect([optionalText("key", ""), optionalText("key", undefined), optionalText("key", "k")]).toEqual([
      undefined,
      undefined,
      "k",
    ]);
    expect(() => optionalText("key", 1)).toThrow(ValidationError);
    expect(() => optionalText("key", "k".repeat(65_537))).toThrow(ValidationError);
  });
});
