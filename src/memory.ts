/** Everything in this thread: for tests, one tab, server rendering. Nothing survives; the API is the browser's. */
import type { Backend } from "./client/backend.js";
import { createFlavour } from "./client/flavour.js";
import { createQueueFactory } from "./client/queue.js";
import { createTopicFactory } from "./client/topic.js";
import { type MemoryOptions, createMemoryBackend } from "./memory/memory-backend.js";

const flavour = /*#__PURE__*/ createFlavour(() => createMemoryBackend());

/**
 * Makes the backend that handles of this entry use by default.
 *
 * @throws `CONFLICT` after a call on the default backend; pass `backend` to use another one beside it.
 */
export const connect = (options?: MemoryOptions): Backend => flavour.connect(() => createMemoryBackend(options));
export const queue = /*#__PURE__*/ createQueueFactory(flavour);
export const topic = /*#__PURE__*/ createTopicFactory(flavour);
export type { MemoryOptions } from "./memory/memory-backend.js";
export * from "./client/api.js";
