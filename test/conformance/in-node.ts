import { afterAll, describe, test } from "vitest";
import * as memory from "../../src/memory.js";
import { type Backend, type Entry, createWorld } from "./case.js";
import { casesOf, fullName } from "./conformance.js";
import { type CaseOutcome, writeOutcomes } from "./table.js";

export interface NodeWorld {
  /** The backend's name in the table. */
  readonly name: string;
  /** The entry of the package whose factories are used. Default: the memory flavour's. */
  readonly entry?: Entry;
  connect(space: string): Backend;
  /** After each case that passed, its backends still open. */
  afterEach?(): Promise<void>;
}

/** All cases on a backend that needs nothing but Node. */
export function runInNode({ name: backend, entry = memory, connect, afterEach }: NodeWorld): void {
  const outcomes: CaseOutcome[] = [];

  afterAll(() => writeOutcomes(backend, outcomes));

  describe(`conformance on ${backend}`, () => {
    for (const conformanceCase of casesOf()) {
      const { primitive, name, skip, run } = conformanceCase;
      test(fullName(conformanceCase), async ({ skip: skipTest }) => {
        const reason = skip[backend];
        if (reason !== undefined) {
          outcomes.push({ primitive, name, result: "skipped", reason });
          return skipTest(reason);
        }
        const world = createWorld({ name: backend, entry, connect });
        try {
          await run(world);
          await afterEach?.();
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
}
