import type { Json } from "../protocol/json.js";

/** A row as it is kept: absolute, so that writing it again changes nothing. undefined removes. */
export type Row = readonly [key: string, value: Json | undefined];

export interface Batch {
  /** The number of this record: one more than the last. */
  n: number;
  rows: Row[];
  /** Flush to disk before resolving. */
  strict: boolean;
}

export interface Loaded {
  /** All rows: the checkpoint with the journal applied. */
  rows: Map<string, Json>;
  /** The rows of the records alone: what no checkpoint holds yet. */
  tail: Map<string, Json | undefined>;
  /** The number of the newest record; 0 when there is none. */
  last: number;
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
  readonly durable: boolean;
  /** Takes ownership for this epoch, then reads everything. */
  load(): Promise<Loaded>;
  /** Keeps one record, all of it or nothing. One append at a time. */
  append(batch: Batch): Promise<void>;
  checkpoint(slice: Slice): Promise<void>;
  /** Frees the room that is kept for a full disk; false when there is none left. */
  dropReserve(): Promise<boolean>;
  /** Takes that room again, as far as the quota lets it. */
  takeReserve(): Promise<void>;
  close(): void;
}
