import type { Flavour } from "./flavour.js";

/** The `ephemeral` factory over a flavour's backend. */
export function createEphemeralFactory(_flavour: Flavour) {
  return function ephemeral(): never {
    throw new Error("not built yet");
  };
}
