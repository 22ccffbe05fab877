import { expect, test } from "vitest";
import { casesOf, fullName } from "./conformance.js";
import { formatTable } from "./table.js";

test("the table counts per backend and primitive, and gives every exception its reason", () => {
  const passed = { primitive: "queue", name: "a", result: "passed" as const };
  const text = formatTable([
    { name: "memory", outcomes: [passed, { ...passed, name: "b", result: "skipped", reason: "one tab" }] },
    { name: "hub", outcomes: [passed, { primitive: "topic", name: "c", result: "failed", reason: "Error: no" }] },
  ]);
  expect(text).toBe(
    [
      "        queue                topic",
      "memory  1 passed, 1 skipped  –",
      "hub     1 passed             0 passed, 1 failed",
      "",
      "failed  hub  topic: c – Error: no",
      "skipped  memory  queue: b – one tab",
    ].join("\n"),
  );
});

test("every case has a name of its own", () => {
  const names = casesOf().map(fullName);
  expect(new Set(names).size).toBe(names.length);
});
