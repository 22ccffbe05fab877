import type { Gap } from "../protocol/commands.js";
import { parsePosition } from "../protocol/cursor.js";
import { ValidationError } from "../protocol/errors.js";
import type { Argument } from "./script.js";

/** What scripts reply that read an event log (prelude-log.lua). */
export type RawAnchor = [string, number, string?, string?];
export type RawRead = [number, string[], string?, string?];

export function anchorArgs({ after }: { after: string }): Argument[] {
  const position = parsePosition(after);
  if (position === undefined) throw new ValidationError(`"${after}" is not a cursor`);
  if (position.at !== "cursor") return [position.at, "", 0];
  return ["cursor", position.cursor.generation, position.cursor.n];
}

export function anchorReply([generation, n, ...lost]: RawAnchor): { generation: string; n: number; gap?: Gap } {
  return { generation, n, ...gapOf(lost) };
}

export function readReply<Event>([head, events, ...lost]: RawRead): { events: Event[]; head: number; gap?: Gap } {
  return { events: events.map((text) => JSON.parse(text) as Event), head, ...gapOf(lost) };
}

function gapOf([after, firstAvailable]: [string?, string?]): { gap?: Gap } {
  return after === undefined ? {} : { gap: { after, firstAvailable: firstAvailable! } };
}

/** An event's own fields for log_append: JSON without the braces. Those that are undefined are left out. */
export function fragment(fields: object): string {
  return JSON.stringify(fields).slice(1, -1);
}
