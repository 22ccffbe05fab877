/** A process of its own (entries.test.ts): holds an entry, until somebody ends it. */
import { z } from "zod";
import { connect, ephemeral } from "../../src/server.js";

const [redis, prefix, key] = process.argv.slice(-3) as [string, string, string];
const backend = connect({ redis, prefix });
const entries = ephemeral({ id: "e", schema: z.string(), ttlMs: 3_600_000, backend });
await entries.upsert({ key, value: "x", bound: "tab" });
console.log("bound");
process.stdin.resume();
