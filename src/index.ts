/** tabloom for web apps: every tab of an origin shares the hub in a SharedWorker. */
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
import { type HubOptions, createHubBackend } from "./client/hub-backend.js";
import { hubHosting } from "./client/hosting.js";

const hubBackend = (options: HubOptions = {}): Backend =>
  createHubBackend(
    options,
    hubHosting(options, {
      elected: () => import("./elected.js"),
      here: () => import("./hub-here.js"),
    }),
  );
const flavour = /*#__PURE__*/ createFlavour(() => hubBackend());

/**
 * Names the space that handles of this entry use by default. Nothing is started before the first call.
 *
 * @throws `CONFLICT` after a call on the default backend; pass `backend` to use another one beside it.
 * @example
 * const backend = connect({ space: "my-app" });
 * backend.onStatus(({ state, tabs }) => console.log(state, tabs));
 */
export const connect = (options?: HubOptions): Backend => flavour.connect(() => hubBackend(options));
export const ratelimit = /*#__PURE__*/ createRatelimitFactory(flavour);
export const mutex = /*#__PURE__*/ createMutexFactory(flavour);
export const queue = /*#__PURE__*/ createQueueFactory(flavour);
export const topic = /*#__PURE__*/ createTopicFactory(flavour);
export const job = /*#__PURE__*/ createJobFactory(flavour);
export const scheduler = /*#__PURE__*/ createSchedulerFactory(flavour);
export const registry = /*#__PURE__*/ createRegistryFactory(flavour);
export const ephemeral = /*#__PURE__*/ createEphemeralFactory(flavour);
export type { HubOptions } from "./client/hub-backend.js";
export * from "./client/api.js";
