import { utf8Bytes } from "../protocol/json.js";
import type { Maybe } from "./backend.js";
import { andThen } from "./maybe.js";
import { duration, optionalText } from "./ranges.js";
import type { Schema } from "./schema.js";
import { encodeMeta, encodeValue } from "./values.js";

/** What a message and an event have in common when they are made. */
export interface ItemOptions {
  data: unknown;
  meta?: unknown;
  orderingKey?: string;
  idempotencyKey?: string;
  idempotencyTtlMs?: number;
}

export interface EncodedItem {
  data: string;
  /** UTF-8 bytes of data + meta + orderingKey. */
  bytes: number;
  meta?: string;
  orderingKey?: string;
  idempotencyKey?: string;
  idempotencyTtlMs?: number;
}

/** Checks in the documented order (schema, ranges; size and capacity are the instance's) and makes the text. */
export function encodeItem(schema: Schema, options: ItemOptions): Maybe<EncodedItem> {
  return andThen(encodeValue(schema, options.data), (data) => {
    const meta = encodeMeta(options.meta);
    const orderingKey = optionalText("orderingKey", options.orderingKey);
    const idempotencyKey = optionalText("idempotencyKey", options.idempotencyKey);
    const item: EncodedItem = { data, bytes: utf8Bytes(data) };
    if (meta !== undefined) {
      item.meta = meta;
      item.bytes += utf8Bytes(meta);
    }
    if (orderingKey !== undefined) {
      item.orderingKey = orderingKey;
      item.bytes += utf8Bytes(orderingKey);
    }
    if (options.idempotencyTtlMs !== undefined) {
      item.idempotencyTtlMs = duration("idempotencyTtlMs", options.idempotencyTtlMs);
    }
    if (idempotencyKey !== undefined) item.idempotencyKey = idempotencyKey;
    return item;
  });
}
