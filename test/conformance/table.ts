/**
 * The table backend × case: each run of the cases writes its outcomes, and `writeTable` puts what is there side by side.
 */
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface CaseOutcome {
  primitive: string;
  name: string;
  result: "passed" | "failed" | "skipped";
  /** Why it was skipped, or how it failed. */
  reason?: string;
}

const OUT = ".out";
export const FOLDER = join(OUT, "conformance");

export function writeOutcomes(backend: string, outcomes: CaseOutcome[]): void {
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(join(FOLDER, `${backend}.json`), `${JSON.stringify(outcomes, null, 1)}\n`);
}

/** Merges the outcomes of all backends into .out/conformance-table.txt; returns its text. */
export function writeTable(): string {
  const backends = readdirSync(FOLDER)
    .filter((file) => file.endsWith(".json"))
    .sort()
    .map((file) => ({
      name: file.slice(0, -".json".length),
      outcomes: JSON.parse(readFileSync(join(FOLDER, file), "utf8")) as CaseOutcome[],
    }));
  const text = `${formatTable(backends)}\n`;
  writeFileSync(join(OUT, "conformance-table.txt"), text);
  return text;
}

export function formatTable(backends: { name: string; outcomes: CaseOutcome[] }[]): string {
  const primitives = [...new Set(backends.flatMap(({ outcomes }) => outcomes.map(({ primitive }) => primitive)))];
  const head = ["", ...primitives];
  const rows = backends.map(({ name, outcomes }) => [
    name,
    ...primitives.map((primitive) => counts(outcomes.filter((outcome) => outcome.primitive === primitive))),
  ]);
  const exceptions = backends.flatMap(({ name, outcomes }) =>
    outcomes
      .filter(({ result }) => result !== "passed")
      .map(
        ({ primitive, name: title, result, reason }) =>
          `${result}  ${name}  ${primitive}: ${title} – ${reason ?? "no reason given"}`,
      ),
  );
  return [...aligned([head, ...rows]), "", ...exceptions.sort()].join("\n").trimEnd();
}

function counts(outcomes: CaseOutcome[]): string {
  const count = (result: CaseOutcome["result"]): number =>
    outcomes.filter((outcome) => outcome.result === result).length;
  if (outcomes.length === 0) return "–";
  const failed = count("failed");
  const skipped = count("skipped");
  return [
    `${count("passed")} passed`,
    ...(failed ? [`${failed} failed`] : []),
    ...(skipped ? [`${skipped} skipped`] : []),
  ].join(", ");
}

function aligned(rows: string[][]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join("  ")
      .trimEnd(),
  );
}
