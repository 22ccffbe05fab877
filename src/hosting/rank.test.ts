import { describe, expect, test } from "vitest";
import { outranks } from "./rank.js";

const rank = (schema: number, version: string): { schema: number; version: string } => ({ schema, version });

describe("who should rather own a space", () => {
  test.each([
    ["a newer layout of the database, whatever the version", rank(2, "0.1.0"), rank(1, "9.0.0")],
    ["a newer version", rank(1, "1.10.0"), rank(1, "1.9.9")],
    ["a release before its candidates", rank(1, "1.0.0"), rank(1, "1.0.0-rc.2")],
    ["a later candidate", rank(1, "1.0.0-rc.10"), rank(1, "1.0.0-rc.9")],
  ])("%s", (_, better, worse) => {
    expect(outranks(better, worse)).toBe(true);
    expect(outranks(worse, better)).toBe(false);
  });

  test("equals do not take it from each other, and neither does a version that is none", () => {
    expect(outranks(rank(1, "1.0.0"), rank(1, "1.0.0"))).toBe(false);
    expect(outranks(rank(1, "1.0.0+b"), rank(1, "1.0.0+a"))).toBe(false);
    expect(outranks(rank(1, "main"), rank(1, "1.0.0"))).toBe(false);
    expect(outranks(rank(1, "1.0.0"), rank(1, "main"))).toBe(false);
  });
});
