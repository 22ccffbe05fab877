/** A worker of the built package (worker-kills.e2e.ts). It says where it is, and may be killed at any of these places. */
import { Redis } from "ioredis";
import { z } from "zod";
import { connect, job } from "../../dist/server.js";

const [redis, prefix] = process.argv.slice(2);
const backend = connect({ redis, prefix });
const effects = new Redis(redis);
const say = (where, jobId) => process.stdout.write(`${where} ${jobId}\n`);
/** So that a kill that was decided upon at this place happens here. */
const linger = () => new Promise((resolve) => setTimeout(resolve, 5));

const worker = job({
  id: "kills",
  schema: z.number(),
  backend,
  maxCrashes: 1000,
  defaults: { leaseMs: 3_600_000 },
  async process({ ctx }) {
    say("begun", ctx.jobId);
    await linger();
    await ctx.step({
      id: "effect",
      run: async () => {
        await effects.rpush(`effects:${ctx.jobId}`, process.pid);
        say("effect", ctx.jobId);
        await linger();
      },
    });
    say("stepped", ctx.jobId);
    await linger();
    return process.pid;
  },
});
await worker.start();
say("ready", "-");
