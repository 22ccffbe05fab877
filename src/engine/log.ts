import { formatCursor, parsePosition } from "../protocol/cursor.js";
import type { Gap } from "../protocol/commands.js";
import { ValidationError } from "../protocol/errors.js";
import { Line } from "./line.js";

/** Where a reader stands: after event n, and what it lost if its place is gone. */
export interface Anchor {
  n: number;
  gap?: Gap;
}

/**
 * An instance's event log: dense numbers from 1, trimmed from the front, one generation for its life. It remembers up
 * to where it was trimmed, so that a reader learns exactly then that it lost something.
 */
export class Log<Event extends { n: number; publishedAt: number }> {
  readonly generation: string;
  readonly events = new Line<Event>((event) => event.n);
  /** Events up to this number are gone. */
  trimmedUpTo = 0;
  /** The number of the newest event ever written. */
  head = 0;

  constructor(generation: string) {
    this.generation = generation;
  }

  cursor(n: number): string {
    return formatCursor(this.generation, n);
  }

  find(n: number): Event | undefined {
    return this.events.at(this.events.search(n));
  }

  /** Events after n, those older than `notBefore` left out, at most `limit`. */
  after(n: number, limit: number, notBefore: number): Event[] {
    const found: Event[] = [];
    for (let i = this.events.search(n + 1); i < this.events.length && found.length < limit; i++) {
      const event = this.events.at(i)!;
      if (event.publishedAt >= notBefore) found.push(event);
    }
    return found;
  }

  /** What was lost by a reader that stands after n. */
  gapAfter(n: number): Gap | undefined {
    if (n >= this.trimmedUpTo) return undefined;
    return { after: this.cursor(n), firstAvailable: this.cursor(this.trimmedUpTo) };
  }

  anchor(text: string): Anchor {
    const position = parsePosition(text);
    if (position === undefined) throw new ValidationError(`"${text}" is not a cursor`);
    if (position.at === "start") return { n: this.trimmedUpTo };
    if (position.at === "now") return { n: this.head };
    const { generation, n } = position.cursor;
    if (generation === this.generation && n <= this.head) {
      const gap = this.gapAfter(n);
      return gap ? { n: this.trimmedUpTo, gap } : { n };
    }
    return { n: this.trimmedUpTo, gap: { after: text, firstAvailable: this.cursor(this.trimmedUpTo) } };
  }
}
