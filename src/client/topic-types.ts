import type { TopicStats } from "../protocol/commands.js";
import type { HandleOptions } from "./handle.js";
import type { InputOf, OutputOf, Schema } from "./schema.js";

export interface TopicOptions<S extends Schema> extends HandleOptions {
  /** What an event carries; any Standard Schema. */
  schema: S;
  limits?: {
    /** UTF-8 bytes of data, meta and ordering key together. Default 131,072. */
    payloadBytes?: number;
  };
  /** How long an event is retained. Default 7 days. */
  retentionMs?: number;
  /** Events retained at most; the oldest go first. Default 50,000. */
  maxLen?: number;
  /** An uncommitted delivery may be taken over by another reader after this time without touch. Default 60,000. */
  reclaimAfterMs?: number;
}

export interface PubOptions<Data> {
  data: Data;
  tenantId?: string;
  /** Carried along; a topic is in order of publishing in any case. */
  orderingKey?: string;
  /** A second publish with this key has no effect while the first event is retained. */
  idempotencyKey?: string;
  /** How long the key is remembered. Default 7 days. */
  idempotencyTtlMs?: number;
  /** Travels with the event; any JSON value. */
  meta?: unknown;
}

export interface Published {
  eventId: string;
  /** The place in the log: `live({ after: cursor })` goes on behind this event. */
  cursor: string;
  /** The idempotency key was known: id and cursor are the earlier event's. */
  duplicate: boolean;
}

export interface TopicEventOf<Data> {
  readonly data: Data;
  readonly eventId: string;
  readonly cursor: string;
  /** Epoch milliseconds of the hub's clock. */
  readonly publishedAt: number;
  readonly orderingKey?: string;
  readonly meta?: unknown;
}

/** An event that this reader holds for its group. */
export interface TopicReceived<Data> extends TopicEventOf<Data> {
  readonly deliveryId: string;
  /** How often this group was handed the event. */
  readonly attempt: number;
  /** Done for this group. false when it was done already, or another reader took it over. */
  commit(): Promise<boolean>;
  /** Keeps it from being taken over for another `reclaimAfterMs`. false as for `commit`. */
  touch(): Promise<boolean>;
}

export interface TopicRecvOptions {
  tenantId?: string;
  /** Wait for an event when there is none. Default true. */
  wait?: boolean;
  /** How long to wait. 0: do not. Default 30,000. */
  timeoutMs?: number;
  signal?: AbortSignal;
  /**
   * "skip": an event that does not fit the schema is committed and passed over. "throw": `TopicPayloadError`; the
   * event is committed. Default "skip".
   */
  invalidPayload?: "skip" | "throw";
}

export interface TopicReader<Data> {
  readonly group: string;
  /**
   * The group's next event; null when none came in time, the signal aborted, or the reader was closed.
   *
   * @throws `GapError` once when events were trimmed before the group saw them; the next call goes on behind the gap.
   */
  recv(options?: TopicRecvOptions): Promise<TopicReceived<Data> | null>;
  /** Events one after the other. Ends when aborted or closed, with `wait: false` also when there is none. */
  stream(options?: TopicRecvOptions): AsyncIterableIterator<TopicReceived<Data>>;
  /** Takes over what other readers of the group have not committed for `minIdleMs`. Default 60,000, at most 25. */
  reclaim(options?: { tenantId?: string; minIdleMs?: number; count?: number }): Promise<TopicReceived<Data>[]>;
  /** Ends this reader: its parked calls settle with null. What it was handed can still be committed. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface LiveOptions {
  tenantId?: string;
  /** Where to begin: a cursor, "0-0" for everything retained, "$" for what comes from this call on. Default "$". */
  after?: string;
  signal?: AbortSignal;
  /** Ends when no event came for this long. Default: never. */
  timeoutMs?: number;
  /** When events behind `after`, or behind a reader that fell far back, are gone. Default "throw" (`GapError`). */
  onGap?: "throw" | "continue";
  /** As in `recv`, without the commit. */
  invalidPayload?: "skip" | "throw";
}

/** See {@link topic}. */
export interface Topic<S extends Schema> {
  /**
   * Publishes an event. Resolves when it is as durable as the topic is; listeners hear it after that.
   *
   * @throws `ValidationError`, `RangeError`, `PayloadTooLargeError`, `QUOTA`: nothing was published.
   */
  pub(options: PubOptions<InputOf<S>>): Promise<Published>;
  /** All or none, in order; at most 1,000 events and 8 MiB. */
  pubMany(
    items: readonly Omit<PubOptions<InputOf<S>>, "tenantId">[],
    options?: { tenantId?: string },
  ): Promise<Published[]>;
  /** A member of a group: the group takes each event once, its readers share the work. Default group "default". */
  reader(group?: string, options?: { consumerId?: string }): TopicReader<OutputOf<S>>;
  /** Every event to every listener, from this call on. Ends when aborted or closed. */
  live(options?: LiveOptions): AsyncIterableIterator<TopicEventOf<OutputOf<S>>>;
  /** The cursor of the newest event. */
  latestCursor(options?: { tenantId?: string }): Promise<string>;
  stats(options?: { tenantId?: string }): Promise<TopicStats>;
  /** Ends this handle and its readers; what was handed out can still be committed. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
