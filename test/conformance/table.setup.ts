import { existsSync, rmSync } from "node:fs";
import { FOLDER, writeTable } from "./table.js";

/** Outcomes of an earlier run would stand in the table as if they were of this one. */
export function setup(): void {
  rmSync(FOLDER, { recursive: true, force: true });
}

export function teardown(): void {
  // A run of chosen files may have no cases.
  if (existsSync(FOLDER)) writeTable();
}
