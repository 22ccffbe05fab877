/** A process that uses a server once, and says how many timers keep it running then. */
import { z } from "zod";
import { createRedisBackend } from "../../src/redis/backend.js";
import { queue, topic } from "../../src/server.js";

const [url, prefix] = process.argv.slice(-2) as [string, string];
const count = (resource: string): number => process.getActiveResourcesInfo().filter((name) => name === resource).length;

const backend = createRedisBackend({ redis: url, prefix });
const news = topic({ id: "news", schema: z.string(), backend });
await news.stats();
// Who listens from now on must hear of what is called from now on: that waits for it.
const heard = news.live().next();
await news.pub({ data: "a" });
await heard;
const received = queue({ id: "mail", schema: z.string(), backend }).recv();
await backend.close();
await received;
// A connection has a timer of its own until it has ended.
while (count("TCPSocketWrap") > 0) await new Promise(setImmediate);
console.log(count("Timeout"));
