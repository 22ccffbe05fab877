/**
 * For a worker file of your own: importing this hosts the hub in it, and its factories work on that hub, so that
 * handlers run with every tab hidden.
 *
 * @example
 * // hub.ts
 * import { job } from "tabloom/worker";
 * job({ id: "mail", schema: Mail, process: ({ input }) => send(input) }).start();
 * // app.ts
 * connect({ worker: ({ name }) => new SharedWorker(new URL("./hub.ts", import.meta.url), { type: "module", name }) });
 */
import * as create from "./client/factories.js";
import { createFlavour } from "./client/flavour.js";
import { createHubBackend } from "./client/hub-backend.js";
import { ownHosting } from "./client/own-hub.js";
import { startHubHere } from "./worker/main.js";

const started = startHubHere();
const flavour = createFlavour(() => createHubBackend({ space: started?.space ?? "default" }, ownHosting(started?.hub)));

export const ratelimit = create.ratelimit(flavour);
export const mutex = create.mutex(flavour);
export const queue = create.queue(flavour);
export const topic = create.topic(flavour);
export const job = create.job(flavour);
export const scheduler = create.scheduler(flavour);
export const registry = create.registry(flavour);
export const ephemeral = create.ephemeral(flavour);
export * from "./client/api.js";
