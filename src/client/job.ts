import type { Flavour } from "./flavour.js";

/** The `job` factory over a flavour's backend. */
export function createJobFactory(_flavour: Flavour) {
  return function job(): never {
    throw new Error("not built yet");
  };
}
