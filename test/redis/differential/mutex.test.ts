import fc from "fast-check";
import { afterAll, beforeAll, test } from "vitest";
import { type Server, startServer } from "../server.js";
import { type Step, compareWithEngine } from "./differential.js";

let server: Server;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

const resource = fc.constantFrom("r", "r:1", "é");
const value = fc.nat({ max: 7 }).map((n) => `v${n}`);
const ttlMs = fc.constantFrom(500, 2_500, 40_500);

function step(): fc.Arbitrary<Step> {
  const of = (op: Extract<Step, { op: unknown }>["op"], body: fc.Arbitrary<unknown>): fc.Arbitrary<Step> =>
    body.map((given) => ({ op, body: given }));
  return fc.oneof(
    {
      weight: 6,
      arbitrary: of(
        "mutex.acquire",
        fc.record({ resource, value, ttlMs, mode: fc.constantFrom("exclusive", "shared"), waitMs: fc.constant(0) }),
      ),
    },
    { weight: 3, arbitrary: of("mutex.release", fc.record({ resource, value })) },
    { weight: 3, arbitrary: of("mutex.extend", fc.record({ resource, value, ttlMs })) },
    { weight: 3, arbitrary: fc.constantFrom(1000, 3000, 41_000).map((advanceMs) => ({ advanceMs })) },
  );
}

const look = [
  { op: "mutex.stats", body: {} },
  { op: "mutex.query", body: { resource: "r" } },
  { op: "mutex.query", body: { resource: "r:1" } },
] as const;

test("a mutex on Redis answers as the engine does", { timeout: 120_000 }, async () => {
  await compareWithEngine({
    kind: "mutex",
    url: server.url,
    runs: 200,
    config: fc.constant({}),
    step: step(),
    look,
    // Numbers of their own: that they grow is tested elsewhere.
    leaveOut: /^token$/,
  });
});
