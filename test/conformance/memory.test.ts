import { afterAll, describe, test } from "vitest";
import * as memory from "../../src/memory.js";
import { createMemoryBackend } from "../../src/memory/memory-backend.js";
import { createWorld } from "./case.js";
import { casesOf, fullName } from "./conformance.js";
import { type CaseOutcome, writeOutcomes } from "./table.js";

const BACKEND = "memory";
const outcomes: CaseOutcome[] = [];

afterAll(() => writeOutcomes(BACKEND, outcomes));

describe("conformance on memory", () => {
  for (const conformanceCase of casesOf()) {
    const { primitive, name, skip, run } = conformanceCase;
    test(fullName(conformanceCase), async ({ skip: skipTest }) => {
      const reason = skip[BACKEND];
      if (reason !== undefined) {
        outcomes.push({ primitive, name, result: "skipped", reason });
        return skipTest(reason);
      }
      const world = createWorld({
        name: BACKEND,
        entry: memory,
        connect: () => createMemoryBackend({ testClock: true }),
      });
      try {
        await run(world);
        outcomes.push({ primitive, name, result: "passed" });
      } catch (error) {
        outcomes.push({ primitive, name, result: "failed", reason: String(error) });
        throw error;
      } finally {
        await world.close();
      }
    });
  }
});
