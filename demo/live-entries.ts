import { type EntryEvent, TabloomError } from "tabloom";
import { rest } from "./page/pace.js";

const RETRY_MS = 1000;

/** Where entries come from: an ephemeral's snapshot or a registry's list, and the reader that goes on behind it. */
export interface EntrySource<Entry> {
  snapshot(): Promise<{ entries: readonly Entry[]; cursor: string }>;
  changesAfter(cursor: string): AsyncIterable<EntryEvent<Entry>>;
}

/**
 * Keeps a map of all entries, for as long as the page lives: what is there, then every change of it; anew when changes
 * were missed, as from a hub that died with its memory.
 */
export async function followEntries<Entry extends { key: string }>(
  source: EntrySource<Entry>,
  changed: (entries: ReadonlyMap<string, Entry>, event?: EntryEvent<Entry>) => void,
): Promise<never> {
  for (;;) {
    try {
      await followOnce(source, changed);
    } catch (error) {
      if (!(error instanceof TabloomError)) throw error;
      await rest(RETRY_MS);
    }
  }
}

/** Ends when changes were missed. */
async function followOnce<Entry extends { key: string }>(
  source: EntrySource<Entry>,
  changed: (entries: ReadonlyMap<string, Entry>, event?: EntryEvent<Entry>) => void,
): Promise<void> {
  const { entries: snapshot, cursor } = await source.snapshot();
  const entries = new Map(snapshot.map((entry) => [entry.key, entry]));
  changed(entries);
  for await (const event of source.changesAfter(cursor)) {
    if (event.type === "overflow") return;
    apply(entries, event);
    changed(entries, event);
  }
}

function apply<Entry extends { key: string }>(
  entries: Map<string, Entry>,
  event: Exclude<EntryEvent<Entry>, { type: "overflow" }>,
): void {
  switch (event.type) {
    case "upsert":
      entries.set(event.entry.key, event.entry);
      return;
    case "touch": {
      const { key, version, updatedAt, expiresAt } = event;
      const entry = entries.get(key);
      if (entry) entries.set(key, { ...entry, version, updatedAt, expiresAt });
      return;
    }
    case "delete":
    case "expire":
      entries.delete(event.key);
  }
}
