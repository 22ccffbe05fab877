import { ALPHABET, base32 } from "./base32.js";

const TIME_CHARS = 10;
const ORIGIN_CHARS = 10;
const COUNTER_CHARS = 6;
const COUNTER_LIMIT = 32 ** COUNTER_CHARS;

let origin = "";
let time = 0;
let prefix = "";
let counter = 0;

/**
 * 26 characters, sortable by the time they were made: 10 of time, 10 random ones of this page, 6 of a counter. The
 * alphabet is Crockford's base 32, as in ULID.
 */
export function newId(): string {
  const now = Date.now();
  if (now > time || counter >= COUNTER_LIMIT) {
    // A clock that steps back does not: ids of one page stay in order.
    time = Math.max(now, time + 1);
    origin ||= randomText(ORIGIN_CHARS);
    prefix = base32(time, TIME_CHARS) + origin;
    counter = 0;
  }
  return prefix + base32(counter++, COUNTER_CHARS);
}

/** Random text of this alphabet: for tab ids, epochs and log generations. */
export function randomText(length: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array(length));
  let text = "";
  for (const byte of bytes) text += ALPHABET[byte & 31];
  return text;
}
