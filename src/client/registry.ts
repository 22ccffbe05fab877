import type { Flavour } from "./flavour.js";

/** The `registry` factory over a flavour's backend. */
export function createRegistryFactory(_flavour: Flavour) {
  return function registry(): never {
    throw new Error("not built yet");
  };
}
