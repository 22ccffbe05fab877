/** Everything in this thread: for tests, one tab, server rendering. What survives is in a `Store`; the API is the browser's. */
import type { Backend } from "./client/backend.js";
import { createFlavour } from "./client/flavour.js";
import { createEphemeralFactory } from "./client/ephemeral.js";
import { createJobFactory } from "./client/job.js";
import { createMutexFactory } from "./client/mutex.js";
import { createQueueFactory } from "./client/queue.js";
import { createRatelimitFactory } from "./client/ratelimit.js";
import { createRegistryFactory } from "./client/registry.js";
import { createSchedulerFactory } from "./client/scheduler.js";
import { createTopicFactory } from "./client/topic.js";
import { type MemoryOptions, createMemoryBackend } from "./memory/memory-backend.js";

const flavour = /*#__PURE__*/ createFlavour(
  () => createMemoryBackend(),
  (store) => createMemoryBackend({ store }),
);

/**
 * Makes the backend that handles of this entry use by default. With `store` it is the one that handles with that store
 * use, until it is closed.
 *
 * @throws `CONFLICT` after a call on the default backend; pass `backend` to use another one beside it.
 */
export const connect = (options?: MemoryOptions): Backend => flavour.connect(() => createMemoryBackend(options));
export const ratelimit = /*#__PURE__*/ createRatelimitFactory(flavour);
export const mutex = /*#__PURE__*/ createMutexFactory(flavour);
export const queue = /*#__PURE__*/ createQueueFactory(flavour);
export const topic = /*#__PURE__*/ createTopicFactory(flavour);
export const job = /*#__PURE__*/ createJobFactory(flavour);
export const scheduler = /*#__PURE__*/ createSchedulerFactory(flavour);
export const registry = /*#__PURE__*/ createRegistryFactory(flavour);
export const ephemeral = /*#__PURE__*/ createEphemeralFactory(flavour);
export type { MemoryOptions } from "./memory/memory-backend.js";
export * from "./client/api.js";
