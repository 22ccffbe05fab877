import { mkdirSync, writeFileSync } from "node:fs";
import { afterAll, afterEach, describe, test } from "vitest";
import { ENGINES, type Engine } from "./driver.js";
import { SHARED_MODES, type Scenario } from "./scenario.js";
import { deaths } from "./scenarios/deaths.js";
import { sharing } from "./scenarios/sharing.js";
import { sleep } from "./scenarios/sleep.js";
import { storage } from "./scenarios/storage.js";
import { versions } from "./scenarios/versions.js";
import { type Mode, Theatre } from "./stage.js";

const SCENARIOS: readonly Scenario[] = [...sharing, ...deaths, ...sleep, ...versions, ...storage];

const LIMIT_MS = 60_000;
/** For screenshots and for closing what hangs. */
const TO_END_MS = 30_000;

/** What came of one cell; scripts/engines.mjs makes the table of these. */
interface Cell {
  fault: string;
  checks: string;
  mode: Mode;
  result: "passed" | "failed" | "impossible";
  /** How the fault was made if not by the browser, what was seen, why it failed or cannot be run. */
  words: string[];
  ms: number;
}

/** Each engine begins elsewhere: what is hard on the machine is not done in all of them at the same time. */
function inOrderOf(engine: Engine): readonly Scenario[] {
  const start = Math.floor((ENGINES.indexOf(engine.name) * SCENARIOS.length) / ENGINES.length);
  return [...SCENARIOS.slice(start), ...SCENARIOS.slice(0, start)];
}

/** Every fault, in each mode that it concerns, in this engine. */
export function playMatrix(engine: Engine): void {
  const theatre = new Theatre(engine);
  const cells: Cell[] = [];

  describe(engine.name, () => {
    // After each cell, so that a run that is cut short leaves what it had.
    afterEach(() => {
      const { version } = theatre;
      mkdirSync(".out/engines", { recursive: true });
      writeFileSync(`.out/engines/${engine.name}.json`, JSON.stringify({ engine: engine.name, version, cells }));
    });
    afterAll(() => theatre.close());

    for (const scenario of inOrderOf(engine)) {
      for (const mode of scenario.modes ?? SHARED_MODES) {
        test(
          `${scenario.fault} (${mode})`,
          { timeout: (scenario.limitMs ?? LIMIT_MS) + TO_END_MS },
          async ({ skip }) => {
            const { fault, checks } = scenario;
            const impossible = scenario.cannot?.(engine.name, mode);
            if (impossible !== undefined) {
              cells.push({ fault, checks, mode, result: "impossible", words: [impossible], ms: 0 });
              return skip(impossible);
            }
            const simulated = scenario.simulated?.(engine.name, mode);
            const words = simulated === undefined ? [] : [`simulated: ${simulated}`];
            const start = performance.now();
            const cell = (result: Cell["result"], more: string[]): void =>
              void cells.push({
                fault,
                checks,
                mode,
                result,
                words: [...words, ...more],
                ms: performance.now() - start,
              });
            try {
              const { spoils = false, limitMs = LIMIT_MS } = scenario;
              const remarks = await theatre.play(mode, {
                spoils,
                run: (stage) => within(limitMs, scenario.run(stage)),
              });
              cell("passed", remarks);
            } catch (error) {
              cell("failed", [String(error)]);
              throw error;
            }
          },
        );
      }
    }
  });
}

async function within(ms: number, running: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done within ${ms / 1000} s: something hangs`)), ms);
  });
  try {
    await Promise.race([running, late]);
  } finally {
    clearTimeout(timer);
  }
}
