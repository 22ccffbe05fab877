import { mkdirSync, writeFileSync } from "node:fs";
import type { Violation } from "../../test/history/record.js";
import { type Aftermath, aftermath } from "./aftermath.js";
import { pickFault } from "./faults.js";
import { type Plan, planOf } from "./plan.js";
import { pause } from "./tab.js";
import { judge } from "./verdict.js";
import { type Venue, World } from "./world.js";

/** What came of one seed; scripts/chaos.mjs makes the table of these. */
export interface Result {
  readonly plan: Plan;
  readonly faults: readonly string[];
  readonly calls: number;
  readonly ms: number;
  readonly violations: readonly Violation<string>[];
}

const TAIL = 40;
const SHOWN = 10;

/** Load, faults, calm, and what is to be said of it. */
export async function runSeed(seed: number, venue: Venue): Promise<Result> {
  const begun = performance.now();
  const { plan, random } = planOf(seed);
  const world = new World(plan, random, venue);
  const faults: string[] = [];
  let after: Aftermath | undefined;
  let violations: readonly Violation<string>[];
  try {
    while (world.tabs.length < plan.tabs) await world.open();
    for (let i = 0; i < plan.faults; i++) {
      await pause(random.int(50, 500));
      if (world.free.length === 0) await world.calm();
      const fault = pickFault(world);
      faults.push(fault.name);
      await fault.run(world);
    }
    await pause(random.int(200, 500));
    after = await aftermath(world);
    const register = (await world.living[0]?.ask(() => takeAccesses(), [])) ?? [];
    violations = judge(plan, after, { faults, register });
  } catch (error) {
    violations = [{ rule: "the run itself", says: String((error as Error).stack) }];
  }
  if (violations.length > 0) keep(world, { plan, faults, violations, after });
  await world.close();
  const calls = new Set(world.record.notes.map(({ call }) => call)).size;
  return { plan, faults, calls, violations, ms: Math.round(performance.now() - begun) };
}

/** The whole history on disk, and its tail on the screen. */
function keep(world: World, result: object): void {
  const { seed } = world.plan;
  const notes = [...world.record.notes].sort((a, b) => timeOf(world, a) - timeOf(world, b));
  mkdirSync(".out/chaos", { recursive: true });
  const clocks = Object.fromEntries(world.record.clocks);
  writeFileSync(`.out/chaos/seed-${seed}.json`, JSON.stringify({ ...result, clocks, notes }, undefined, 1));
  for (const note of notes.slice(-TAIL)) {
    const { tab, call, n: _, at: __, ...what } = note;
    console.log(`  ${Math.round(timeOf(world, note))} ${tab} ${call} ${JSON.stringify(what)}`);
  }
}

function timeOf({ record }: World, { tab, at }: { tab: string; at: number }): number {
  return at + (record.clocks.get(tab)?.offset ?? 0);
}

export function print({ plan, faults, calls, ms, violations }: Result): void {
  const { seed, kind, hosting, tabs } = plan;
  const verdict = violations.length === 0 ? "passed" : "FAILED";
  const what = `${kind}, ${hosting}, ${tabs} tabs; ${faults.join(", ")}; ${calls} calls, ${(ms / 1000).toFixed(1)} s`;
  console.log(`seed ${seed}: ${what}: ${verdict}`);
  if (violations.length === 0) return;
  for (const { rule, says } of violations.slice(0, SHOWN)) console.log(`  ${rule}: ${says}`);
  if (violations.length > SHOWN) console.log(`  and ${violations.length - SHOWN} more`);
  console.log(`  again: SEED=${seed} npm run test:chaos; its history: .out/chaos/seed-${seed}.json`);
}
