/** What makes the handles of each primitive. `retry` needs no backend (api.ts). */
export { createEphemeralFactory as ephemeral } from "./ephemeral.js";
export { createJobFactory as job } from "./job.js";
export { createMutexFactory as mutex } from "./mutex.js";
export { createQueueFactory as queue } from "./queue.js";
export { createRatelimitFactory as ratelimit } from "./ratelimit.js";
export { createRegistryFactory as registry } from "./registry.js";
export { createSchedulerFactory as scheduler } from "./scheduler.js";
export { createTopicFactory as topic } from "./topic.js";
