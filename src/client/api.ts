/// <reference lib="esnext.disposable" preserve="true" />
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
export type { AcquireOptions, Lock, LockQuery, Mutex, MutexOptions } from "./mutex-types.js";
export type { CheckOptions, RateLimit, RateLimitOptions } from "./ratelimit-types.js";
export type { LockHolder, LockMode, MutexStats, RateLimitResult, RatelimitStats } from "../protocol/commands.js";
export { LockError, RateLimitError } from "../protocol/errors.js";
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
export type { SchedulableJob, ScheduleOptions, Scheduler, SchedulerOptions } from "./scheduler-types.js";
export type {
  DispatchFailure,
  Misfire,
  ScheduleInfo,
  SchedulerMetric,
  SchedulerMetrics,
  SchedulerStats,
} from "../protocol/commands.js";
export type {
  Registry,
  RegistryCasOptions,
  RegistryEntry,
  RegistryEvent,
  RegistryListOptions,
  RegistryOptions,
  RegistryPage,
  RegistryReader,
  RegistryReaderOptions,
  RegistryRemoveOptions,
  RegistryTransaction,
  RegistryTransactionStep,
  RegistryUpsert,
} from "./registry-types.js";
export type {
  Ephemeral,
  EphemeralEntry,
  EphemeralEvent,
  EphemeralOptions,
  EphemeralReader,
  EphemeralReaderOptions,
  EphemeralSnapshot,
  EphemeralUpsert,
} from "./ephemeral-types.js";
export type { EntryEvent, EntryReader } from "./entry-reader.js";
export type { LogReader, LogRecvOptions } from "./log-reader.js";
export type { EntriesStats, RegistryConflict, RegistryStats } from "../protocol/commands.js";
export {
  EphemeralCapacityError,
  EphemeralPayloadTooLargeError,
  RegistryCapacityError,
  RegistryPayloadTooLargeError,
} from "../protocol/errors.js";
export type {
  Job,
  JobContext,
  JobEventItem,
  JobEventLog,
  JobEventOf,
  JobEventReader,
  JobEventReceived,
  JobInfo,
  JobLiveOptions,
  JobOptions,
  JobOutcomeOf,
  ResultOf,
  SubmitOptions,
  Submitted,
} from "./job-types.js";
export type { JobBackoff, JobError, JobStats, JobStatus } from "../protocol/commands.js";
export { NonRetryableError } from "../protocol/errors.js";
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
  StoreWriteError,
  TabloomError,
  TopicPayloadError,
  ValidationError,
  type ValidationIssue,
} from "../protocol/errors.js";
export type { Json, Jsonify } from "../protocol/json.js";
export { type BackendStats, type Inspector, inspect } from "./inspect.js";
export type { InstanceInfo, InstanceName, Kind, TraceEntry } from "../protocol/commands.js";
export { type LocalStorageStoreOptions, createLocalStorageStore } from "./local-storage-store.js";
export { createMemoryStore } from "./memory-store.js";
export type { Store } from "./store.js";
