/** An app for Node: what it sends one process, it receives in this one; it ends by itself. */
import { Redis } from "ioredis";
import { type Queue, type Schema, TabloomError, connect, inspect, queue } from "tabloom/server";
import { queue as inTabs, TabloomError as InTabs } from "tabloom";

const schema: Schema<string> = {
  "~standard": {
    version: 1,
    vendor: "consumer",
    validate: (value) => (typeof value === "string" ? { value } : { issues: [{ message: "must be text" }] }),
  },
};

const client = new Redis(process.env["REDIS_URL"]!);
await client.ping();

const backend = connect({ redis: client, prefix: "consumer" });
const letters: Queue<Schema<string>> = queue({ id: "letters", schema });
await letters.send({ data: "from Node" });

// Handles of any entry take any backend.
const message = await inTabs({ id: "letters", schema, backend }).recv({ wait: false });
console.log("received", message?.data, await message?.ack());

const refused = await letters.send({ data: 1 as unknown as string }).catch((error: unknown) => error);
console.log("refused", refused instanceof TabloomError && refused instanceof InTabs && refused.code);

console.log("instances", (await inspect(backend).instances()).map(({ name }) => name.id).join());
console.log("mode", backend.status.mode, backend.status.persistence);

await backend.close();
console.log("the client is still open:", await client.ping());
await client.quit();
