/** What the program says, and to whom. */
export interface Terminal {
  /** Results. */
  out(line: string): void;
  /** Trouble, and nothing else. */
  err(line: string): void;
  /** Somebody looks on: what takes a moment may show that it does. */
  interactive: boolean;
  /** Aborts when the user wants no more. */
  signal: AbortSignal;
}

/** Columns as wide as their widest cell; the last is not padded. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join("  ")
      .trimEnd(),
  );
}

/** One line of it: payloads may hold anything, also what would move the cursor. */
export function oneLine(text: string, max = 100): string {
  // oxlint-disable-next-line eslint/no-control-regex
  const printable = text.replace(/[\u0000-\u001f\u007f-\u009f]/g, " ");
  return printable.length > max ? `${printable.slice(0, max - 1)}…` : printable;
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
