/** A process that takes a job and never finishes it: `node redis-worker.js <tabloom|bullmq> <url>`. Says when it began. */
import { Worker } from "bullmq";
import { Redis } from "ioredis";
import { connect, job } from "../src/server.js";
import { payload } from "./payload.js";

const [side, url] = process.argv.slice(2);

function hang(): Promise<never> {
  process.stdout.write("began\n");
  return new Promise(() => {});
}

if (side === "tabloom") {
  const backend = connect({ redis: url!, prefix: "bench" });
  await job({ id: "killed", schema: payload, backend, process: hang }).start();
} else {
  new Worker("killed", hang, { connection: new Redis(url!, { maxRetriesPerRequest: null }) });
}
setInterval(() => {}, 1000);
