import fc from "fast-check";
import { expect, test } from "vitest";
import { utf8Bytes } from "./json.js";

test("utf8Bytes counts what TextEncoder writes", () => {
  const encoder = new TextEncoder();
  const text = fc.oneof(fc.string({ unit: "binary" }), fc.string({ unit: "grapheme" }));
  fc.assert(
    fc.property(text, (given) => {
      expect(utf8Bytes(given)).toBe(encoder.encode(given).length);
    }),
    { seed: 8 },
  );
  const edges = ["", "a", "ä", "漢", "😀", "\ud800", "\udc00", "\udc00\ud800", "a\ud83d"];
  expect(edges.map(utf8Bytes)).toEqual(edges.map((given) => encoder.encode(given).length));
});
