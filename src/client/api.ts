/** What every entry exports besides its factories. */
export type { Backend, BackendStatus } from "./backend.js";
export type { HandleOptions } from "./handle.js";
export type {
  DeadLetter,
  DeadLetterQueue,
  NackOptions,
  Queue,
  QueueOptions,
  QueueReader,
  Received,
  RecvOptions,
  SendOptions,
  Sent,
  StreamConfig,
} from "./queue-types.js";
export type {
  LiveOptions,
  PubOptions,
  Published,
  Topic,
  TopicEventOf,
  TopicOptions,
  TopicReader,
  TopicReceived,
  TopicRecvOptions,
} from "./topic-types.js";
export {
  DEFAULT_RETRY_OPTIONS,
  type ExpBackoffOptions,
  type RetryOptions,
  expBackoff,
  isRetryableTransportError,
  retry,
} from "./retry.js";
export type { InputOf, OutputOf, Schema } from "./schema.js";
export type { Durability, QueuePeek, QueueStats, TopicStats } from "../protocol/commands.js";
export {
  AbortError,
  CapacityError,
  ERROR_CODES,
  type ErrorCode,
  GapError,
  PayloadTooLargeError,
  TabloomError,
  TopicPayloadError,
  ValidationError,
  type ValidationIssue,
} from "../protocol/errors.js";
export type { Json, Jsonify } from "../protocol/json.js";
export { type Inspector, inspect } from "./inspect.js";
export type { InstanceInfo, InstanceName, Kind, TraceEntry } from "../protocol/commands.js";
