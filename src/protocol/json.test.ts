import fc from "fast-check";
import { expect, test } from "vitest";
import { utf8Bytes } from "./json.js";

test("utf8Bytes counts what TextEncoder writes", () => {
  const encoder = new TextEncoder();
  const text = fc.oneof(fc.string({ unit: "binary" }), fc.string({ unit: "grapheme" }));
  fc.assert(fc.property(text, (given) => void expect(utf8Bytes(given)).toBe(encoder.encode(given).length)), { seed: 8 });
  for (const given of ["", "a", "ä", "漢", "😀", "\ud800", "\udc00", "\udc00\ud800", "a\ud83d"]) {
    expect(utf8Bytes(given), JSON.stringify(given)).toBe(encoder.encode(given).length);
  }
});
