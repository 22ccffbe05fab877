/** Everything in this thread: for tests, one tab, server rendering. What survives is in a `Store`; the API is the browser's. */
import type { Backend } from "./client/backend.js";
import { createFlavour } from "./client/flavour.js";
import * as create from "./client/factories.js";
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
export const ratelimit = /*#__PURE__*/ create.ratelimit(flavour);
export const mutex = /*#__PURE__*/ create.mutex(flavour);
export const queue = /*#__PURE__*/ create.queue(flavour);
export const topic = /*#__PURE__*/ create.topic(flavour);
export const job = /*#__PURE__*/ create.job(flavour);
export const scheduler = /*#__PURE__*/ create.scheduler(flavour);
export const registry = /*#__PURE__*/ create.registry(flavour);
export const ephemeral = /*#__PURE__*/ create.ephemeral(flavour);
export type { MemoryOptions } from "./memory/memory-backend.js";
export * from "./client/api.js";
