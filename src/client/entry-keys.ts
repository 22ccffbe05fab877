import { ValidationError } from "../protocol/errors.js";
import { utf8Bytes } from "../protocol/json.js";

const MAX_BYTES = 512;
const TEXT = /^[^\p{Surrogate}]+$/u;
const PATH = /^[^/\0\p{Surrogate}]+(?:\/[^/\0\p{Surrogate}]+){0,7}$/u;
const FOLDER = /^(?:[^/\0\p{Surrogate}]+\/){1,8}$/u;

/** 1–512 UTF-8 bytes of well-formed Unicode. */
export function entryKey(name: string, value: unknown): string {
  return matching(name, value, TEXT, "well-formed Unicode");
}

/** As `entryKey`, at most 8 segments between slashes, none of them empty. */
export function pathKey(name: string, value: unknown): string {
  return matching(name, value, PATH, 'at most 8 segments between "/", none of them empty, without NUL');
}

/** The beginning of path keys: whole segments, "/" at the end. */
export function pathPrefix(value: unknown): string {
  return matching("prefix", value, FOLDER, 'segments that each end in "/", none of them empty, without NUL');
}

function matching(name: string, value: unknown, pattern: RegExp, what: string): string {
  if (typeof value === "string" && value.length <= MAX_BYTES && pattern.test(value) && utf8Bytes(value) <= MAX_BYTES) {
    return value;
  }
  throw new ValidationError(`${name} must be 1 to ${MAX_BYTES} UTF-8 bytes: ${what}`);
}
