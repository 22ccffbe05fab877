import { type ValidationIssue, ValidationError } from "../protocol/errors.js";
import type { Maybe } from "./backend.js";
import { andThen } from "./maybe.js";
import type { OutputOf, Schema, SchemaIssue, SchemaResult } from "./schema.js";

/** undefined as the whole payload is an empty text. */
const UNDEFINED = "";

/** A value as JSON text, checked as it will be read: what is accepted here can always be read. */
export function encodeValue(schema: Schema, value: unknown): Maybe<string> {
  const text = toText(value, "value");
  return andThen(validate(schema, fromText(text)), () => text);
}

/** As `encodeValue`, with the value as a reader of the text will get it. */
export function encodeAndRead<S extends Schema>(
  schema: S,
  value: unknown,
): Maybe<{ text: string; value: OutputOf<S> }> {
  const text = toText(value, "value");
  return andThen(validate(schema, fromText(text)), (read) => ({ text, value: read as OutputOf<S> }));
}

/** The value of a stored text. Rejects with `ValidationError` when it does not fit. */
export function decodeValue<S extends Schema>(schema: S, text: string): Maybe<OutputOf<S>> {
  return validate(schema, fromText(text)) as Maybe<OutputOf<S>>;
}

/** `meta` as it is stored: any JSON value, no schema. */
export function encodeMeta(meta: unknown): string | undefined {
  return meta === undefined ? undefined : toText(meta, "meta");
}

export function decodeMeta(text: string | undefined): unknown {
  return text === undefined ? undefined : fromText(text);
}

/** Throws `ValidationError` when JSON cannot hold it; `what` names it there. */
export function toText(value: unknown, what: string): string {
  if (value === undefined) return UNDEFINED;
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ValidationError(`${what} cannot be written as JSON: ${reason}`, undefined, { cause });
  }
  if (text === undefined) throw new ValidationError(`${what} cannot be written as JSON: it is a ${typeof value}`);
  return text;
}

/** The value of a text that `toText` made. */
export function fromText(text: string): unknown {
  if (text === UNDEFINED) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new ValidationError("the stored text is not JSON", undefined, { cause });
  }
}

function validate(schema: Schema, value: unknown): Maybe<unknown> {
  return andThen(schema["~standard"].validate(value) as Maybe<SchemaResult<unknown>>, (result) => {
    if (!result.issues) return result.value;
    const issues = result.issues.map(plainIssue);
    const [first] = issues;
    const where = first?.path?.length ? ` at ${first.path.join(".")}` : "";
    throw new ValidationError(`the value does not fit the schema${where}: ${first?.message ?? "invalid"}`, issues);
  });
}

/** Issues as they cross threads: paths of plain keys. */
function plainIssue({ message, path }: SchemaIssue): ValidationIssue {
  if (!path) return { message };
  const keys = path.map((part) => (typeof part === "object" ? part.key : part));
  return { message, path: keys.map((key) => (typeof key === "symbol" ? String(key) : key)) };
}
