import type { QueueConfig, QueueDelivery, QueueItem } from "../protocol/commands.js";
import { AbortError, TabloomError } from "../protocol/errors.js";
import type { Maybe, Port } from "./backend.js";
import { deadLetterQueue } from "./dead-letters.js";
import type { Flavour } from "./flavour.js";
import { Handle } from "./handle.js";
import { newId } from "../protocol/ids.js";
import { encodeItem } from "./item.js";
import { andThen, isPromise, promised } from "./maybe.js";
import type {
  NackOptions,
  Queue,
  QueueOptions,
  Received,
  RecvOptions,
  SendOptions,
  Sent,
  StreamConfig,
} from "./queue-types.js";
import { delay, duration, integer, oneOf } from "./ranges.js";
import type { OutputOf, Schema } from "./schema.js";
import { withAnySignal } from "./signals.js";
import { createStream } from "./stream.js";
import { decodeMeta, decodeValue } from "./values.js";

const DAYS_7 = 7 * 24 * 3_600_000;
const MAX_ATOMIC_ITEMS = 1000;
const MAX_ATOMIC_BYTES = 8 * 1024 * 1024;
/** An unreadable message that the full dead-letter queue cannot take is out of the way for this long. */
const INVALID_PARKED_MS = 30_000;
const DEFAULT_WAIT_MS = 30_000;
const DEFAULT_LEASE_MS = 30_000;

type Item = Omit<SendOptions<unknown>, "tenantId">;

/** The `queue` factory over a flavour's backend. */
export function createQueueFactory(flavour: Flavour) {
  /**
   * A durable queue that every tab shares: at least once, first in first out, with leases, retries and dead letters.
   *
   * @throws `ValidationError` for a bad id; `RangeError` for limits out of range. Contradicting another handle's
   * `ordering` or memory-only durability rejects the first call with `CONFLICT`.
   * @example
   * const uploads = queue({ id: "uploads", schema: z.object({ file: z.string() }) });
   * await uploads.send({ data: { file: "a.png" } });
   * for await (const message of uploads.stream()) {
   *   await upload(message.data.file);
   *   await message.ack();
   * }
   */
  return function queue<S extends Schema>(options: QueueOptions<S>): Queue<S> {
    const handle = new Handle("queue", flavour, options, configOf(options), "relaxed");
    const { schema } = options;

    const recvMany = (cfg: RecvOptions & { max: number }): Promise<Received<OutputOf<S>>[]> =>
      promised(() => receive(handle, schema, cfg, integer("max", cfg.max, { min: 1, max: MAX_ATOMIC_ITEMS })));
    const recv = (cfg: RecvOptions = {}): Promise<Received<OutputOf<S>> | null> =>
      promised(() => andThen(receive(handle, schema, cfg, 1), ([message]) => message ?? null));
    const stream = (cfg: StreamConfig = {}): AsyncIterableIterator<Received<OutputOf<S>>> => {
      const touching = new Map<object, () => void>();
      return createStream({
        signals: [handle.ending, cfg.signal],
        endWhenEmpty: cfg.wait === false,
        async pull(signal) {
          const message = await recv({ ...cfg, signal });
          if (message && cfg.autoTouch)
            touching.set(
              message,
              keepTouched(message, cfg.leaseMs ?? options.delivery?.defaultLeaseMs ?? DEFAULT_LEASE_MS),
            );
          return message;
        },
        onDone(message) {
          touching.get(message)?.();
          touching.delete(message);
        },
      });
    };
    const close = async (): Promise<void> => handle.close();

    return {
      send: (sending) => promised(() => send(handle, schema, sending)),
      sendMany: (items, cfg) => promised(() => sendMany(handle, schema, items, cfg ?? {})),
      recv,
      recvMany,
      stream,
      reader: () => ({ recv, stream }),
      dlq: deadLetterQueue(handle),
      pause: async (cfg) => void (await handle.ask(cfg?.tenantId, (port) => port.call("queue.pause", {}))),
      resume: async (cfg) => void (await handle.ask(cfg?.tenantId, (port) => port.call("queue.resume", {}))),
      purge: (cfg) => handle.ask(cfg?.tenantId, (port) => port.call("queue.purge", {})),
      stats: (cfg) => handle.ask(cfg?.tenantId, (port) => port.call("queue.stats", {})),
      peek: (cfg) =>
        handle.ask(cfg?.tenantId, (port) =>
          port.call("queue.peek", { limit: integer("limit", cfg?.limit ?? 100, { min: 1, max: 10_000 }) }),
        ),
      close,
      [Symbol.asyncDispose]: close,
    };
  };
}

function configOf<S extends Schema>({ ordering, limits = {}, delivery = {} }: QueueOptions<S>): QueueConfig {
  return {
    ordering: oneOf("ordering.mode", ordering?.mode ?? "best_effort", ["best_effort", "ordering_key_partitioned"]),
    payloadBytes: integer("payloadBytes", limits.payloadBytes ?? 131_072, { min: 1 }),
    maxMessageAgeMs: duration("maxMessageAgeMs", limits.maxMessageAgeMs ?? DAYS_7),
    maxNackDelayMs: delay("maxNackDelayMs", limits.maxNackDelayMs ?? DAYS_7),
    dlqRetentionMs: duration("dlqRetentionMs", limits.dlqRetentionMs ?? DAYS_7),
    maxMessages: limits.maxMessages === undefined ? 0 : integer("maxMessages", limits.maxMessages, { min: 1 }),
    maxDead: integer("maxDead", limits.maxDead ?? 10_000, { min: 1 }),
    maxIdempotencyKeys: integer("maxIdempotencyKeys", limits.maxIdempotencyKeys ?? 100_000, { min: 1 }),
    defaultLeaseMs: duration("defaultLeaseMs", delivery.defaultLeaseMs ?? DEFAULT_LEASE_MS),
    maxDeliveries: integer("maxDeliveries", delivery.maxDeliveries ?? 10, { min: 1 }),
  };
}

function send(handle: Handle<"queue">, schema: Schema, options: SendOptions<unknown>): Maybe<Sent> {
  const port = handle.port(options.tenantId);
  const prepared = prepare(schema, options);
  return handle.inOrder(prepared, (item) => andThen(port.call("queue.send", item), (earlier) => sent(item, earlier)));
}

function sent(item: QueueItem, earlier: string | null): Sent {
  return earlier === null ? { messageId: item.messageId, duplicate: false } : { messageId: earlier, duplicate: true };
}

async function sendMany(
  handle: Handle<"queue">,
  schema: Schema,
  items: readonly Item[],
  { atomic = true, tenantId }: { atomic?: boolean; tenantId?: string },
): Promise<Sent[]> {
  const port = handle.port(tenantId);
  if (atomic && items.length > MAX_ATOMIC_ITEMS) {
    throw new RangeError(`an atomic sendMany takes at most ${MAX_ATOMIC_ITEMS} items, not ${items.length}`);
  }
  const results = await handle.inOrder(Promise.all(items.map(async (item) => prepare(schema, item))), (prepared) => {
    const bytes = prepared.reduce((sum, item) => sum + item.bytes, 0);
    if (atomic && bytes > MAX_ATOMIC_BYTES) {
      throw new RangeError(`an atomic sendMany takes at most ${MAX_ATOMIC_BYTES} bytes, not ${bytes}`);
    }
    return Promise.all(
      inChunks(prepared).map(async (chunk) => {
        const earlier = await port.call("queue.sendMany", { items: chunk });
        return chunk.map((item, i) => sent(item, earlier?.[i] ?? null));
      }),
    );
  });
  return results.flat();
}

function inChunks(items: QueueItem[]): QueueItem[][] {
  const chunks: QueueItem[][] = [];
  let bytes = Infinity;
  for (const item of items) {
    const last = chunks.at(-1);
    bytes += item.bytes;
    if (last && bytes <= MAX_ATOMIC_BYTES && last.length < MAX_ATOMIC_ITEMS) last.push(item);
    else {
      chunks.push([item]);
      bytes = item.bytes;
    }
  }
  return chunks;
}

function prepare(schema: Schema, options: Item): Maybe<QueueItem> {
  return andThen(encodeItem(schema, options), (encoded) => {
    const item: QueueItem = { messageId: newId(), ...encoded };
    if (options.delayMs !== undefined) item.delayMs = delay("delayMs", options.delayMs);
    if (options.priority !== undefined) item.priority = integer("priority", options.priority, { min: 0, max: 9 });
    return item;
  });
}

function receive<S extends Schema>(
  handle: Handle<"queue">,
  schema: S,
  options: RecvOptions,
  max: number,
): Maybe<Received<OutputOf<S>>[]> {
  const port = handle.port(options.tenantId);
  const waitMs = options.wait === false ? 0 : delay("timeoutMs", options.timeoutMs ?? DEFAULT_WAIT_MS);
  const leaseMs = options.leaseMs === undefined ? undefined : duration("leaseMs", options.leaseMs);
  if (options.signal?.aborted) return [];
  const endAt = performance.now() + waitMs;

  const claim = (left: number, signal: AbortSignal): Maybe<Received<OutputOf<S>>[]> => {
    const body = {
      deliveryId: newId(),
      max,
      waitMs: left,
      ...(leaseMs === undefined ? {} : { leaseMs }),
      ...(options.consumerId === undefined ? {} : { consumerId: options.consumerId }),
    };
    // Handed out after this call was given up: back to the front, as if it had not been claimed.
    const onLate = (late: QueueDelivery[]): void => {
      if (late.length > 0) void giveBack(port, late);
    };
    return andThen(port.call("queue.claim", body, { signal, onLate }), (deliveries) => {
      if (deliveries.length === 0) return [];
      return andThen(readAll(port, schema, deliveries), (messages) =>
        // Nothing readable among them: there may be a good one behind.
        messages.length > 0 ? messages : claim(Math.max(0, Math.ceil(endAt - performance.now())), signal),
      );
    });
  };
  const received = withAnySignal([handle.closing.signal, options.signal], (signal) =>
    handle.inOrder(undefined, () => claim(waitMs, signal)),
  );
  if (!isPromise(received)) return received;
  return received.catch((error: unknown) => {
    if (error instanceof AbortError) return [];
    throw error;
  });
}

async function giveBack(port: Port, deliveries: QueueDelivery[]): Promise<void> {
  try {
    await port.call("queue.release", { deliveryIds: deliveries.map(({ deliveryId }) => deliveryId) });
  } catch {
    // Their leases end by themselves.
  }
}

/** What the schema accepts; the rest goes to the dead letters. */
function readAll<S extends Schema>(port: Port, schema: S, deliveries: QueueDelivery[]): Maybe<Received<OutputOf<S>>[]> {
  if (deliveries.length === 1)
    return andThen(read(port, schema, deliveries[0]!), (message) => (message ? [message] : []));
  return Promise.all(deliveries.map(async (delivery) => read(port, schema, delivery))).then((messages) =>
    messages.filter((message) => message !== undefined),
  );
}

function read<S extends Schema>(
  port: Port,
  schema: S,
  delivery: QueueDelivery,
): Maybe<Received<OutputOf<S>> | undefined> {
  const reject = (error: unknown): Promise<undefined> => rejectInvalid(port, delivery, error);
  try {
    const value = decodeValue(schema, delivery.data);
    if (value instanceof Promise) return value.then((data) => received(port, delivery, data), reject);
    return received(port, delivery, value);
  } catch (error) {
    return reject(error);
  }
}

async function rejectInvalid(port: Port, { deliveryId }: QueueDelivery, error: unknown): Promise<undefined> {
  await port.call("queue.nack", {
    deliveryId,
    deadLetter: true,
    elseDelayMs: INVALID_PARKED_MS,
    reason: "invalid",
    error: error instanceof Error ? error.message : String(error),
  });
}

function received<Data>(port: Port, delivery: QueueDelivery, data: Data): Received<Data> {
  const { messageId, deliveryId, attempt, leaseUntil, orderingKey, meta } = delivery;
  const message: Writable<Received<Data>> = {
    data,
    messageId,
    deliveryId,
    attempt,
    leaseUntil,
    ack: () => promised(() => port.call("queue.ack", { deliveryId })),
    nack: (options = {}) => promised(() => port.call("queue.nack", { deliveryId, ...nackBody(options) })),
    touch: (options = {}) =>
      promised(() => {
        const leaseMs = options.leaseMs === undefined ? {} : { leaseMs: duration("leaseMs", options.leaseMs) };
        return andThen(port.call("queue.touch", { deliveryId, ...leaseMs }), (until) => {
          if (until === null) return false;
          message.leaseUntil = until;
          return true;
        });
      }),
  };
  if (orderingKey !== undefined) message.orderingKey = orderingKey;
  if (meta !== undefined) message.meta = decodeMeta(meta);
  return message;
}

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

function nackBody({ delayMs, reason, error, deadLetter }: NackOptions): NackOptions {
  return {
    ...(delayMs === undefined ? {} : { delayMs: delay("delayMs", delayMs) }),
    ...(reason === undefined ? {} : { reason }),
    ...(error === undefined ? {} : { error }),
    ...(deadLetter === undefined ? {} : { deadLetter }),
  };
}

/** Renews a lease three times per lease until told to stop, or until it is no longer ours. */
function keepTouched(message: Received<unknown>, leaseMs: number): () => void {
  const timer = setInterval(
    () => {
      message.touch().then(
        (ours) => ours || clearInterval(timer),
        (error: unknown) => {
          if (!(error instanceof TabloomError && error.retryable)) clearInterval(timer);
        },
      );
    },
    Math.max(1, Math.floor(leaseMs / 3)),
  );
  return () => clearInterval(timer);
}
