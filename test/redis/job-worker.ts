/** A process of its own (job.test.ts): runs jobs, and says what their handlers see. Their input says what they do. */
import { createInterface } from "node:readline";
import { z } from "zod";
import { connect, job } from "../../src/server.js";

const [redis, prefix, id] = process.argv.slice(-3) as [string, string, string];
const backend = connect({ redis, prefix });
let goOn = (): void => {};
const told = new Promise<void>((resolve) => (goOn = resolve));

const worker = job({
  id,
  schema: z.string(),
  backend,
  concurrency: 10,
  async process({ ctx, input }) {
    const before = await ctx.step({ id: "before", run: () => process.pid });
    console.log(`runs ${input}`);
    if (input === "waits for its signal") {
      const why = await new Promise((resolve) =>
        ctx.signal.addEventListener("abort", () => resolve(ctx.signal.reason)),
      );
      console.log(`aborted ${(why as { code: string }).code}`);
    } else await told;
    return [before, process.pid];
  },
});
await worker.start();
console.log(String(process.pid));
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "go on") goOn();
  if (line === "state") console.log(JSON.stringify(await worker.stats()));
}
await backend.close();
