import { compareVersions } from "compare-versions";
import type { Rank } from "../protocol/names.js";

/** Whether `a` should own the space rather than `b`. Equals never take it from each other. */
export function outranks(a: Rank, b: Rank): boolean {
  if (a.schema !== b.schema) return a.schema > b.schema;
  try {
    return compareVersions(a.version, b.version) > 0;
  } catch {
    // A build whose version is none.
    return false;
  }
}
