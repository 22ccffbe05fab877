import type { Flavour } from "./flavour.js";

/** The `scheduler` factory over a flavour's backend. */
export function createSchedulerFactory(_flavour: Flavour) {
  return function scheduler(): never {
    throw new Error("not built yet");
  };
}
