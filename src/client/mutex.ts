import type { Flavour } from "./flavour.js";

/** The `mutex` factory over a flavour's backend. */
export function createMutexFactory(_flavour: Flavour) {
  return function mutex(): never {
    throw new Error("not built yet");
  };
}
