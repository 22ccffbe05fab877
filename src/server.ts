/** On a Redis server, for many processes; the API is the browser's. */
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
import { type RedisBackendOptions, createRedisBackend } from "./redis/backend.js";

const flavour = /*#__PURE__*/ createFlavour(() => createRedisBackend());

/**
 * Makes the backend that handles of this entry use by default; nothing is opened before the first call.
 *
 * @throws `CONFLICT` after a call on the default backend; pass `backend` to use another one beside it. `VALIDATION` for
 * a bad address or prefix.
 * @example
 * const backend = connect({ redis: "redis://127.0.0.1:6379", prefix: "shop" });
 * await queue({ id: "mail", schema }).send({ data: { to: "a@b.c" } });
 * await backend.close();
 */
export const connect = (options?: RedisBackendOptions): Backend => flavour.connect(() => createRedisBackend(options));
export const ratelimit = /*#__PURE__*/ createRatelimitFactory(flavour);
export const mutex = /*#__PURE__*/ createMutexFactory(flavour);
export const queue = /*#__PURE__*/ createQueueFactory(flavour);
export const topic = /*#__PURE__*/ createTopicFactory(flavour);
export const job = /*#__PURE__*/ createJobFactory(flavour);
export const scheduler = /*#__PURE__*/ createSchedulerFactory(flavour);
export const registry = /*#__PURE__*/ createRegistryFactory(flavour);
export const ephemeral = /*#__PURE__*/ createEphemeralFactory(flavour);
export type { RedisBackendOptions } from "./redis/backend.js";
export * from "./client/api.js";
