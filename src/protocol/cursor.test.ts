import { describe, expect, test } from "vitest";
import { formatCursor, parsePosition } from "./cursor.js";

describe("cursors", () => {
  test("name a place in a log", () => {
    expect(formatCursor("GEN", 7)).toBe("GEN.7");
    expect(parsePosition("GEN.7")).toEqual({ at: "cursor", cursor: { generation: "GEN", n: 7 } });
    expect(parsePosition(formatCursor("GEN", 0))).toEqual({ at: "cursor", cursor: { generation: "GEN", n: 0 } });
  });

  test.each(["0", "0-0"])("%s is the beginning", (text) => expect(parsePosition(text)).toEqual({ at: "start" }));

  test("$ is now", () => expect(parsePosition("$")).toEqual({ at: "now" }));

  test.each([
    "",
    "1",
    "-1",
    "0-1",
    "GEN",
    "GEN.",
    ".1",
    "GEN.-1",
    "GEN.1.2",
    "G N.1",
    "GEN.1x",
    `${"G".repeat(33)}.1`,
    `GEN.${"9".repeat(16)}`,
  ])("%j is none", (text) => expect(parsePosition(text)).toBeUndefined());
});
