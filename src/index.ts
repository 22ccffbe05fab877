/** tabloom for web apps: every tab of an origin shares the hub in a SharedWorker. */
import type { Backend } from "./client/backend.js";
import { createFlavour } from "./client/flavour.js";
import * as create from "./client/factories.js";
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
export const ratelimit = /*#__PURE__*/ create.ratelimit(flavour);
export const mutex = /*#__PURE__*/ create.mutex(flavour);
export const queue = /*#__PURE__*/ create.queue(flavour);
export const topic = /*#__PURE__*/ create.topic(flavour);
export const job = /*#__PURE__*/ create.job(flavour);
export const scheduler = /*#__PURE__*/ create.scheduler(flavour);
export const registry = /*#__PURE__*/ create.registry(flavour);
export const ephemeral = /*#__PURE__*/ create.ephemeral(flavour);
export type { HubOptions } from "./client/hub-backend.js";
export * from "./client/api.js";
