/**
 * A cursor names a place in an instance's event log: `<log generation>.<n>`, n dense from 1.
 * A place is *after* event n. "0" and "0-0" are the beginning of what is retained, "$" is now.
 */
export interface Cursor {
  generation: string;
  n: number;
}

export type Position = { at: "start" } | { at: "now" } | { at: "cursor"; cursor: Cursor };

export function formatCursor(generation: string, n: number): string {
  return `${generation}.${n}`;
}

/** The position that a caller's text names, or undefined when the text is malformed. */
export function parsePosition(text: string): Position | undefined {
  if (text === "0" || text === "0-0") return { at: "start" };
  if (text === "$") return { at: "now" };
  const match = /^([0-9A-Za-z]{1,32})\.(\d{1,15})$/.exec(text);
  if (!match) return undefined;
  return { at: "cursor", cursor: { generation: match[1]!, n: Number(match[2]) } };
}
