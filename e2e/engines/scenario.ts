import type { EngineName } from "./driver.js";
import type { Mode, Stage } from "./stage.js";

/** A row of the table: something that a browser does to an app, and what must hold whatever the engine and the mode. */
export interface Scenario {
  readonly fault: string;
  /** What is looked at, in a few words. */
  readonly checks: string;
  /** The modes that it concerns. Default: the two that tabs share a hub in. */
  readonly modes?: readonly Mode[];
  /** Why this cell cannot be run; undefined: it can. */
  cannot?(engine: EngineName, mode: Mode): string | undefined;
  /** What of it is not the browser's own doing, but made at the outermost edge; undefined: nothing. */
  simulated?(engine: EngineName, mode: Mode): string | undefined;
  /** What is not done by then hangs. Default: 60,000, twice as long as a call may take. */
  readonly limitMs?: number;
  /** The browser is not fit for another cell afterwards. */
  readonly spoils?: boolean;
  run(stage: Stage): Promise<void>;
}

export const SHARED_MODES: readonly Mode[] = ["shared-worker", "elected-tab"];

/** A lease that no test lives to see the end of: only a death can bring its message back. */
export const LONG_MS = 24 * 3_600_000;

export function upTo(count: number, from = 0): number[] {
  return Array.from({ length: count }, (_, i) => i + from);
}
