/** A process of its own (topic.test.ts): takes an event and holds it, until a line on its input says "commit". */
import { createInterface } from "node:readline";
import { z } from "zod";
import { connect, topic } from "../../src/server.js";

const [redis, prefix, id] = process.argv.slice(-3) as [string, string, string];
const backend = connect({ redis, prefix });
const event = await topic({ id, schema: z.string(), backend }).reader("g").recv();
console.log(event?.data);
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "commit") console.log(await event?.commit());
}
await backend.close();
