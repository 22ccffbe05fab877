import type { EntryRecord } from "../protocol/commands.js";
import { ValidationError } from "../protocol/errors.js";
import type { Maybe } from "./backend.js";
import { isPromise } from "./maybe.js";
import type { OutputOf, Schema, SchemaResult } from "./schema.js";
import { decodeValue } from "./values.js";

type EntryOf<S extends Schema, Entry> = (record: EntryRecord, value: OutputOf<S>) => Entry;

/** Entries in their order; those whose values do not fit the schema are left out. */
export function readAll<S extends Schema, Entry>(
  schema: S,
  records: readonly EntryRecord[],
  entryOf: EntryOf<S, Entry>,
): Maybe<Entry[]> {
  const parsed = parseAll(records);
  if (parsed === undefined) return readEach(schema, records, entryOf);
  const finish = (results: readonly SchemaResult<unknown>[]): Entry[] => {
    const entries: Entry[] = [];
    for (let i = 0; i < results.length; i++) {
      const result = results[i]!;
      if (!result.issues) entries.push(entryOf(records[i]!, result.value as OutputOf<S>));
    }
    return entries;
  };
  const results = parsed.map((value) => schema["~standard"].validate(value));
  // One that takes its time; a schema may do so for some values only.
  if (results.some(isPromise)) return Promise.all(results.map(async (result) => result)).then(finish);
  return finish(results as SchemaResult<unknown>[]);
}

/** The entry; undefined when its value does not fit the schema. */
export async function readOne<S extends Schema, Entry>(
  schema: S,
  record: EntryRecord,
  entryOf: EntryOf<S, Entry>,
): Promise<Entry | undefined> {
  try {
    return entryOf(record, await decodeValue(schema, record.value));
  } catch (error) {
    if (error instanceof ValidationError) return undefined;
    throw error;
  }
}

async function readEach<S extends Schema, Entry>(
  schema: S,
  records: readonly EntryRecord[],
  entryOf: EntryOf<S, Entry>,
): Promise<Entry[]> {
  const entries = await Promise.all(records.map((record) => readOne(schema, record, entryOf)));
  return entries.filter((entry) => entry !== undefined);
}

/** All texts as one: most of what a thousand small texts cost is the thousand calls. */
function parseAll(records: readonly EntryRecord[]): unknown[] | undefined {
  let all = "";
  for (const { value } of records) {
    // undefined has no text.
    if (value === "") return undefined;
    all += all === "" ? value : `,${value}`;
  }
  try {
    return JSON.parse(`[${all}]`) as unknown[];
  } catch {
    return undefined;
  }
}
