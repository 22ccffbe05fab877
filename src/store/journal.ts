import type { Json } from "../protocol/json.js";

/** A row as it is kept: absolute, so that writing it again changes nothing. undefined removes. */
export type Row = readonly [key: string, value: Json | undefined];

/** Payloads that are not in memory, as the engine made them: written once, never changed. */
export type Page = readonly unknown[];

export interface Batch {
  /** The number of this record: one more than the last. */
  n: number;
  rows: Row[];
  /** Flush to disk before resolving. */
  strict: boolean;
  /** Pages that are kept from this record on, and those that it needs no more. */
  pages?: { put: readonly (readonly [n: number, page: Page])[]; drop: readonly number[] } | undefined;
}

export interface Loaded {
  /** All rows: the checkpoint with the journal applied. */
  rows: Map<string, Json>;
  /** The rows of the records alone: what no checkpoint holds yet. */
  tail: Map<string, Json | undefined>;
  /** The newest record that has each row of the tail. */
  newest?: Map<string, number>;
  /** The number of the newest record; 0 when there is none. */
  last: number;
  /** Names the data: another one means that everything was deleted in between. "" when nothing is kept. */
  lineage?: string;
}

export interface Slice {
  rows: Row[];
  /** Records up to this number are in the checkpoint now and go in the same transaction. */
  dropUpTo?: number;
}

/**
 * What a hub writes to. Durable ones keep records (one per turn) and rows (the checkpoint).
 *
 * Rejections: `QUOTA` when there is no room, `FENCED` when another hub owns the database, `STORAGE` when the browser's
 * storage fails and stays failed. After any of these nothing of the batch is kept.
 */
export interface Journal {
  /** Whether anything is kept: as far as `load` found out. Where not, only `load` and `close` are called. */
  readonly durable: boolean;
  /** Why nothing is kept. */
  readonly problem?: string | undefined;
  /** Takes ownership for this epoch, then reads everything but the pages. */
  load(): Promise<Loaded>;
  /** Keeps one record, all of it or nothing. One append at a time. */
  append(batch: Batch): Promise<void>;
  /** Pages by number; undefined for one that is not there, or damaged. */
  read(pages: readonly number[]): Promise<(Page | undefined)[]>;
  checkpoint(slice: Slice): Promise<void>;
  /** Frees the room that is kept for a full disk; false when there is none left. */
  dropReserve(): Promise<boolean>;
  /** Takes that room again; false when the quota does not let it. */
  takeReserve(): Promise<boolean>;
  /** Makes the browser give back the room of what was deleted. */
  compact?(): Promise<void>;
  /** Looks whether the storage still answers, and opens it again if not. A storage that is lost says so in its own way. */
  probe?(): Promise<void>;
  close(): void;
}
