/** On a Redis server, for many processes; the API is the browser's. */
import type { Backend } from "./client/backend.js";
import { createFlavour } from "./client/flavour.js";
import * as create from "./client/factories.js";
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
export const ratelimit = /*#__PURE__*/ create.ratelimit(flavour);
export const mutex = /*#__PURE__*/ create.mutex(flavour);
export const queue = /*#__PURE__*/ create.queue(flavour);
export const topic = /*#__PURE__*/ create.topic(flavour);
export const job = /*#__PURE__*/ create.job(flavour);
export const scheduler = /*#__PURE__*/ create.scheduler(flavour);
export const registry = /*#__PURE__*/ create.registry(flavour);
export const ephemeral = /*#__PURE__*/ create.ephemeral(flavour);
export type { RedisBackendOptions } from "./redis/backend.js";
export * from "./client/api.js";
