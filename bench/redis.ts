/** P11–P14: on Redis servers of our own, beside BullMQ, rate-limiter-flexible, and bare commands. */
import type { Run } from "./main.js";
import { adds } from "./redis-add.js";
import { costs, drains } from "./redis-drain.js";
import { kills } from "./redis-kill.js";
import { memories } from "./redis-memory.js";
import { primitives } from "./redis-primitives.js";
import type { Persistence } from "./redis-sides.js";
import type { Row } from "./report.js";

const MODES: readonly Persistence[] = ["none", "everysec", "always"];

export async function redis(run: Run): Promise<Row[]> {
  const sections: [string, () => Promise<Row[]>][] = [
    ...MODES.map((mode): [string, () => Promise<Row[]>] => [`P11, AOF ${mode}`, () => adds(mode)]),
    ...MODES.map((mode): [string, () => Promise<Row[]>] => [`P12, AOF ${mode}`, () => drains(mode)]),
    ["P12, what Redis does for one", costs],
    ["P12, kill -9", kills],
    ["P13", primitives],
    ["P14", memories],
  ];
  const rows: Row[] = [];
  for (const [name, measure] of sections) {
    run.progress(`redis ${name}`);
    rows.push(...(await measure()));
  }
  return rows;
}
