import { ValidationError } from "../protocol/errors.js";

interface Range {
  min: number;
  max?: number;
}

/** A safe integer within its range, else RangeError: before any effect. */
export function integer(name: string, value: unknown, { min, max = Number.MAX_SAFE_INTEGER }: Range): number {
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) return value as number;
  const range = max === Number.MAX_SAFE_INTEGER ? `at least ${min}` : `from ${min} to ${max}`;
  throw new RangeError(
    `${name} must be an integer ${range}, not ${typeof value === "string" ? JSON.stringify(value) : String(value)}`,
  );
}

/** The furthest duration that still gives a safe time when added to now. */
const MAX_DURATION_MS = Number.MAX_SAFE_INTEGER - 2 ** 44;

/** Milliseconds, 0 allowed. */
export function delay(name: string, value: unknown): number {
  return integer(name, value, { min: 0, max: MAX_DURATION_MS });
}

/** Milliseconds, at least 1. */
export function duration(name: string, value: unknown): number {
  return integer(name, value, { min: 1, max: MAX_DURATION_MS });
}

/** Names of instances and tenants: 1–256 characters of well-formed Unicode. */
export function identifier(name: string, value: unknown): string {
  // Characters are code points: a lone surrogate is none, an emoji is one.
  if (typeof value === "string" && /^[^\p{Surrogate}]{1,256}$/u.test(value)) return value;
  throw new ValidationError(`${name} must be 1 to 256 characters of well-formed Unicode`);
}

const MAX_TEXT_LENGTH = 65_536;

/** Any text, bounded so that a mistake does not fill the hub's memory. */
export function boundedText(name: string, value: unknown): string {
  if (typeof value === "string" && value.length <= MAX_TEXT_LENGTH) return value;
  throw new ValidationError(`${name} must be a string of at most ${MAX_TEXT_LENGTH} characters`);
}

/** An optional text: an empty one is none. */
export function optionalText(name: string, value: unknown): string | undefined {
  return value === undefined || value === "" ? undefined : boundedText(name, value);
}

/** One of these words; another would otherwise be taken for the default in silence. */
export function oneOf<T extends string>(name: string, value: T, words: readonly T[]): T {
  if (words.includes(value)) return value;
  throw new ValidationError(
    `${name} must be ${words.map((word) => `"${word}"`).join(" or ")}, not ${JSON.stringify(value)}`,
  );
}
