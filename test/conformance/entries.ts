import { assert } from "chai";
import type { EntryEvent, EntryReader } from "../../src/memory.js";

type AnyEntry = { readonly key: string; readonly value: unknown };

/** The next event, which must come. */
export async function nextEvent<Entry>(reader: EntryReader<Entry>): Promise<EntryEvent<Entry>> {
  const event = await reader.recv();
  assert.isNotNull(event, "an event comes");
  return event!;
}

/** Everything that is there for this reader now. */
export async function eventsNow<Entry>(reader: EntryReader<Entry>): Promise<EntryEvent<Entry>[]> {
  const all: EntryEvent<Entry>[] = [];
  for await (const event of reader.stream({ wait: false })) all.push(event);
  return all;
}

/** An event in a word: what happened, to which key, to which value. */
export function brief(event: EntryEvent<AnyEntry>): string {
  if (event.type === "overflow") return "overflow";
  if (event.type === "upsert") return `upsert ${event.entry.key} ${JSON.stringify(event.entry.value)}`;
  return `${event.type} ${event.key}`;
}

export async function briefly(reader: EntryReader<AnyEntry>): Promise<string[]> {
  return (await eventsNow(reader)).map(brief);
}

/** Keys of a page or snapshot, in its order. */
export function keysOf({ entries }: { entries: readonly AnyEntry[] }): string[] {
  return entries.map(({ key }) => key);
}

/** What a snapshot holds, kept current by events: what an application does with the two. */
export function follow(held: Map<string, unknown>, event: EntryEvent<AnyEntry>): void {
  assert.notStrictEqual(event.type, "overflow");
  if (event.type === "upsert") held.set(event.entry.key, event.entry.value);
  else if (event.type === "delete" || event.type === "expire") held.delete(event.key);
}
