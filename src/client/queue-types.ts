import type { QueuePeek, QueueStats } from "../protocol/commands.js";
import type { HandleOptions } from "./handle.js";
import type { InputOf, OutputOf, Schema } from "./schema.js";

export interface QueueOptions<S extends Schema> extends HandleOptions {
  /** What a message carries; any Standard Schema. Writes take its input type, reads give its output type. */
  schema: S;
  ordering?: {
    /**
     * "best_effort": first in, first out. "ordering_key_partitioned": as that, and one message of an ordering key at
     * a time; a message that comes back stays first of its key, and the others of that key wait. Default
     * "best_effort"; fixed once the queue exists.
     */
    mode: "best_effort" | "ordering_key_partitioned";
  };
  limits?: {
    /** UTF-8 bytes of data, meta and ordering key together. Default 131,072. */
    payloadBytes?: number;
    /** Older messages go to the dead-letter queue. Default 7 days. */
    maxMessageAgeMs?: number;
    /** The longest delay that `nack` accepts. Default 7 days. */
    maxNackDelayMs?: number;
    /** How long a dead letter is kept. Default 7 days. */
    dlqRetentionMs?: number;
    /** Messages at most, waiting, delayed and leased; `send` beyond rejects with `CAPACITY`. Default: no bound. */
    maxMessages?: number;
    /** Dead letters at most. When full, dying messages go on being delivered: nothing is dropped. Default 10,000. */
    maxDead?: number;
    /** Remembered idempotency keys at most; `send` beyond rejects with `CAPACITY`. Default 100,000. */
    maxIdempotencyKeys?: number;
  };
  delivery?: {
    /** How long a received message is held. Default 30,000. */
    defaultLeaseMs?: number;
    /** Claims before a message is dead. Default 10. */
    maxDeliveries?: number;
  };
}

export interface SendOptions<Data> {
  data: Data;
  tenantId?: string;
  /** Not delivered before this many milliseconds. Default 0. */
  delayMs?: number;
  /** With partitioned ordering: messages of one key are handled one at a time, in order of sending. */
  orderingKey?: string;
  /** A second send with this key has no effect and returns the first id, also after that message was acknowledged. */
  idempotencyKey?: string;
  /** How long the key is remembered. Default 7 days. */
  idempotencyTtlMs?: number;
  /** Travels with the message; any JSON value. */
  meta?: unknown;
  /** 0 (first) to 9. A waiting message rises by one every 30 s. Default 5. */
  priority?: number;
}

export interface Sent {
  /** 26 characters, sortable by the time of sending; ids of one tab are in order. */
  messageId: string;
  /** The idempotency key was known: `messageId` is the earlier message's. */
  duplicate: boolean;
}

export interface RecvOptions {
  tenantId?: string;
  /** Wait for a message when there is none. Default true. */
  wait?: boolean;
  /** How long to wait. 0: do not. Default 30,000. */
  timeoutMs?: number;
  /** How long the message is held. Default: the queue's `defaultLeaseMs`. */
  leaseMs?: number;
  /** Names this consumer to whoever looks at the traffic; has no effect on delivery. */
  consumerId?: string;
  /** Ends the wait: `recv` resolves null. */
  signal?: AbortSignal;
}

/** A message that this tab holds until it settles it, or its lease ends. */
export interface Received<Data> {
  readonly data: Data;
  readonly messageId: string;
  /** Names this delivery; the next delivery of the same message has another. */
  readonly deliveryId: string;
  /** How often the message was claimed, this time included. */
  readonly attempt: number;
  /** When the lease ends, epoch milliseconds of the hub's clock. `touch` moves it. */
  readonly leaseUntil: number;
  readonly orderingKey?: string;
  readonly meta?: unknown;
  /** Done: the message is gone. false when this delivery is no longer ours; then it may run again elsewhere. */
  ack(): Promise<boolean>;
  /** Not done: back to the queue, or to the dead letters when its deliveries are used up. false as for `ack`. */
  nack(options?: NackOptions): Promise<boolean>;
  /** Holds it for another `leaseMs` (default: this delivery's) from now. false as for `ack`. */
  touch(options?: { leaseMs?: number }): Promise<boolean>;
}

export interface NackOptions {
  /** Not delivered again before this many milliseconds; at most the queue's `maxNackDelayMs`. Default 0. */
  delayMs?: number;
  /** Kept with the dead letter as its reason. */
  reason?: string;
  /** Kept with the message; a dead letter shows the last one. */
  error?: string;
  /** Do not try again: to the dead letters now. Rejects with `CAPACITY` when they are full. */
  deadLetter?: boolean;
}

export interface StreamConfig extends RecvOptions {
  /** Renew the lease while the loop's body runs. Default false. */
  autoTouch?: boolean;
}

export interface QueueReader<Data> {
  /** The next message, or null when none came in time, the signal aborted, or the queue was closed. */
  recv(options?: RecvOptions): Promise<Received<Data> | null>;
  /** Messages one after the other. Ends when aborted or closed, with `wait: false` also when nothing is ready. */
  stream(config?: StreamConfig): AsyncIterableIterator<Received<Data>>;
}

/** A message that was given up. */
export interface DeadLetter {
  readonly messageId: string;
  /** The value as it is stored: not checked against the schema, for it may be why the message is here. */
  readonly data: unknown;
  readonly attempts: number;
  /** Epoch milliseconds. */
  readonly movedAt: number;
  /** "max_deliveries_exceeded", "expired", "invalid", "nack", or what `nack` gave. */
  readonly reason: string;
  readonly lastError?: string;
  readonly orderingKey?: string;
  readonly meta?: unknown;
}

export interface DeadLetterQueue {
  /** Oldest first. `next` is the `after` of the following page. */
  list(options?: {
    limit?: number;
    after?: string;
    tenantId?: string;
  }): Promise<{ entries: DeadLetter[]; next?: string }>;
  /** false when there is no such entry. */
  remove(messageId: string, options?: { tenantId?: string }): Promise<boolean>;
  /** Back to the queue under the same ids, attempt 0, at the back. Returns how many. */
  redrive(options: { ids?: string[]; all?: boolean; delayMs?: number; tenantId?: string }): Promise<number>;
  /** Forgets all; returns how many. */
  purge(options?: { tenantId?: string }): Promise<number>;
}

/** See {@link queue}. */
export interface Queue<S extends Schema> extends QueueReader<OutputOf<S>> {
  /**
   * Puts a message into the queue. Resolves when it is as durable as the queue is.
   *
   * @throws `ValidationError`, `RangeError`, `PayloadTooLargeError`, `CapacityError`, `QUOTA`: nothing was sent.
   */
  send(options: SendOptions<InputOf<S>>): Promise<Sent>;
  /**
   * Sends in order: with `atomic` (the default) all or none, at most 1,000 items and 8 MiB; without, in chunks.
   *
   * @throws As `send`; `RangeError` beyond the bounds of an atomic call.
   */
  sendMany(
    items: readonly Omit<SendOptions<InputOf<S>>, "tenantId">[],
    options?: { atomic?: boolean; tenantId?: string },
  ): Promise<Sent[]>;
  /** Up to `max` (1–1,000) messages at once; `[]` when none came in time. */
  recvMany(options: RecvOptions & { max: number }): Promise<Received<OutputOf<S>>[]>;
  reader(): QueueReader<OutputOf<S>>;
  readonly dlq: DeadLetterQueue;
  /** Nothing is handed out until `resume`, also after a restart. Settling goes on. */
  pause(options?: { tenantId?: string }): Promise<void>;
  resume(options?: { tenantId?: string }): Promise<void>;
  /** Removes what waits and what is delayed; returns how many. */
  purge(options?: { tenantId?: string }): Promise<number>;
  stats(options?: { tenantId?: string }): Promise<QueueStats>;
  /** Looks at messages without claiming them: leased, then ready, then delayed. */
  peek(options?: { limit?: number; tenantId?: string }): Promise<QueuePeek[]>;
  /** Ends this handle: parked calls settle, streams end; what was handed out can still be settled. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
