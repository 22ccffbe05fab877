import { seeded } from "../pages/seeded.js";

/** `SEED=17`: the plan is the same each time. What happens under it is as different as browsers are. */
export type Random = ReturnType<typeof seeded>;

export const HOSTINGS = ["shared-worker", "relay", "elected-tab", "mixed"] as const;
/** How the tabs of a seed reach a hub. relay: through workers of two addresses; mixed: elected tabs besides. */
export type Hosting = (typeof HOSTINGS)[number];

/**
 * What a seed is about, and which promises hold in it. `orderly`: nothing that hands messages back unseen, so first in,
 * first out can be checked. `deleted`: the database is deleted, so what was accepted may be gone.
 */
export type Kind = "usual" | "orderly" | "deleted" | "restart";

export interface Plan {
  readonly seed: number;
  readonly kind: Kind;
  readonly hosting: Hosting;
  readonly tabs: number;
  readonly faults: number;
  readonly ordering: "best_effort" | "ordering_key_partitioned";
  readonly mutexDurability: "memory" | "relaxed";
}

export function planOf(seed: number): { plan: Plan; random: Random } {
  const random = seeded(seed * 7919);
  const { int, chance, pick } = random;
  const kind = chance(0.05) ? "deleted" : chance(0.05) ? "restart" : chance(0.35) ? "orderly" : "usual";
  const hosting = pick(HOSTINGS);
  const plan: Plan = {
    seed,
    kind,
    hosting,
    tabs: int(hosting === "mixed" ? 3 : 2, chance(0.2) ? 5 : 3),
    faults: int(2, 4),
    ordering: chance(0.5) ? "best_effort" : "ordering_key_partitioned",
    mutexDurability: chance(0.5) ? "memory" : "relaxed",
  };
  return { plan, random };
}

/** The mode of the tab that is opened as the nth, and the worker file that it asks for. */
export function wayOf(hosting: Hosting, n: number): { mode: "shared-worker" | "elected-tab"; file: string } {
  const mode = hosting === "elected-tab" || (hosting === "mixed" && n % 3 === 2) ? "elected-tab" : "shared-worker";
  return { mode, file: hosting === "shared-worker" || n % 2 === 0 ? "a" : "b" };
}
