import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { type Result, formatEnvironment, formatMarkdown } from "./report.js";
import { format, resolveConfig } from "prettier";

const FILE = "docs/benchmarks.md";
/** Sections in their order; "notes" is written by hand and stays. */
const ORDER = ["spine", "memory", "scale", "start", "tabs", "redis", "bridge", "size", "notes"];
const INTRODUCTION = `# Benchmarks

Written by \`npm run bench -- --write\`; the code is in \`bench/\`. \`npm run bench -- <name>\` runs one and prints its table.

- **ours** and **other** were taken in the same run, in turn (A B A B), after a warm-up: medians of five rounds or more,
  their range in brackets. **ratio** is the median of the rounds' own ratios.
- Both sides validate every payload with the same zod schema (about 100 bytes of JSON), except raw round trips and raw
  transactions, which carry no payload to validate. Rows of P2, P4, P5 and P6 use a browser profile on disk.
- A target that was missed stays in the table, with **NO**.
`;

/** Puts a result into docs/benchmarks.md in place of the earlier one of that name. */
export async function writeDocument(result: Result): Promise<void> {
  const sections = readSections();
  const { name, env, rows } = result;
  sections.set(name, `## ${name}\n\n${formatEnvironment(env)}.\n\n${formatMarkdown(rows)}\n`);
  const names = ORDER.filter((known) => sections.has(known));
  const text = [INTRODUCTION, ...names.map((known) => sections.get(known)!)].join("\n");
  writeFileSync(FILE, await format(text, { ...(await resolveConfig(FILE)), parser: "markdown" }));
}

function readSections(): Map<string, string> {
  const text = existsSync(FILE) ? readFileSync(FILE, "utf8") : "";
  const sections = text.split(/^(?=## )/m).slice(1);
  return new Map(sections.map((section) => [/^## (\w+)/.exec(section)![1]!, section]));
}
