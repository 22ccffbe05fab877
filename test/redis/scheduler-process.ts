/** A process of its own: registers schedules, starts, says that it is there, and goes on until it is killed. */
import { z } from "zod";
import { createRedisBackend } from "../../src/redis/backend.js";
import { job, scheduler } from "../../src/server.js";

const [redis, prefix, settings] = process.argv.slice(2) as [string, string, string];
const { schedules, leader } = JSON.parse(settings) as { schedules: string[]; leader: object };

const backend = createRedisBackend({ redis, prefix, testClock: true });
const work = job({ id: "work", schema: z.string(), process: () => {}, worker: false, backend });
const clock = scheduler({ id: "clock", leader, backend });
for (const id of schedules) await clock.register({ id, cron: "* * * * *", job: work, input: id });
await clock.start();
console.log(backend.status.tabId);
