import type { Flavour } from "./flavour.js";

/** The `ratelimit` factory over a flavour's backend. */
export function createRatelimitFactory(_flavour: Flavour) {
  return function ratelimit(): never {
    throw new Error("not built yet");
  };
}
