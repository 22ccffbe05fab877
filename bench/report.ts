import { median } from "./rounds.js";

export interface Environment {
  node: string;
  browser?: string;
  redis?: string;
  cpus: number;
  /** The machine's load average of one minute, before the first round. */
  load: number;
}

export type Range = readonly [min: number, max: number];

export interface Row {
  /** Number of the target. */
  target: string;
  label: string;
  /** Medians over the rounds. */
  ours: number;
  other: number | null;
  /** Median of ours / other of the same round. */
  ratio: number | null;
  unit: string;
  spread: { ours: Range; other: Range | null; ratio: Range | null };
  wants: string;
  /** null: reported without a target. */
  met: boolean | null;
}

export interface Result {
  name: string;
  env: Environment;
  rows: Row[];
}

export interface Comparison {
  target: string;
  label: string;
  unit: string;
  /** One figure per round. */
  ours: number[];
  /** The other side's figures of the same rounds. */
  other?: number[];
  wants: string;
  /** Missing: no target. */
  met?: (figures: { ours: number; other: number; ratio: number }) => boolean;
}

/** Makes a row of the rounds' figures. */
export function compare({ target, label, unit, ours, other, wants, met }: Comparison): Row {
  const ratios = other?.map((figure, i) => ours[i]! / figure);
  const figures = { ours: median(ours), other: other ? median(other) : NaN, ratio: ratios ? median(ratios) : NaN };
  return {
    target,
    label,
    ours: rounded(figures.ours),
    other: other ? rounded(figures.other) : null,
    ratio: ratios ? rounded(figures.ratio) : null,
    unit,
    spread: { ours: range(ours), other: other ? range(other) : null, ratio: ratios ? range(ratios) : null },
    wants,
    met: met ? met(figures) : null,
  };
}

const HEADINGS = ["", "what", "unit", "ours", "other", "ratio", "wants", "met"];

/** Rows as text, columns aligned. */
export function formatTable(rows: Row[]): string {
  const lines = [HEADINGS, ...rows.map(cells)];
  const widths = HEADINGS.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** Rows as a Markdown table. */
export function formatMarkdown(rows: Row[]): string {
  const line = (texts: string[]): string => `| ${texts.map((text) => text.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(HEADINGS), line(HEADINGS.map(() => "---")), ...rows.map((row) => line(cells(row)))].join("\n");
}

export function formatEnvironment({ node, browser, redis, cpus, load }: Environment): string {
  const versions = [`Node ${node.replace("v", "")}`, browser, redis && `Redis ${redis}`].filter(Boolean).join(", ");
  return `${versions}, ${cpus} CPUs, load ${load.toFixed(2)} before`;
}

function cells({ target, label, unit, ours, other, ratio, spread, wants, met }: Row): string[] {
  return [
    target,
    label,
    unit,
    withRange(ours, spread.ours),
    other === null ? "" : withRange(other, spread.other!),
    ratio === null ? "" : withRange(ratio, spread.ratio!),
    wants,
    met === null ? "" : met ? "yes" : "NO",
  ];
}

function withRange(value: number, [min, max]: Range): string {
  const text = format(value);
  return min === max ? text : `${text} (${format(min)}–${format(max)})`;
}

function format(value: number): string {
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(3)));
}

function range(figures: number[]): Range {
  return [rounded(Math.min(...figures)), rounded(Math.max(...figures))];
}

function rounded(figure: number): number {
  return Number(figure.toPrecision(5));
}
