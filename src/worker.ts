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
import { createEphemeralFactory } from "./client/ephemeral.js";
import { createJobFactory } from "./client/job.js";
import { createMutexFactory } from "./client/mutex.js";
import { createQueueFactory } from "./client/queue.js";
import { createRatelimitFactory } from "./client/ratelimit.js";
import { createRegistryFactory } from "./client/registry.js";
import { createSchedulerFactory } from "./client/scheduler.js";
import { createTopicFactory } from "./client/topic.js";
import { createFlavour } from "./client/flavour.js";
import { createHubBackend } from "./client/hub-backend.js";
import { ownHosting } from "./client/own-hub.js";
import { startHubHere } from "./worker/main.js";

const started = startHubHere();
const flavour = createFlavour(() => createHubBackend({ space: started?.space ?? "default" }, ownHosting(started?.hub)));

export const ratelimit = createRatelimitFactory(flavour);
export const mutex = createMutexFactory(flavour);
export const queue = createQueueFactory(flavour);
export const topic = createTopicFactory(flavour);
export const job = createJobFactory(flavour);
export const scheduler = createSchedulerFactory(flavour);
export const registry = createRegistryFactory(flavour);
export const ephemeral = createEphemeralFactory(flavour);
export * from "./client/api.js";
