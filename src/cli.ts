#!/usr/bin/env node
/** The command `tabloom`: looks at a Redis server, and into what tabloom keeps there. */
import { run } from "./cli/program.js";

const interrupted = new AbortController();
process.once("SIGINT", () => interrupted.abort());
// A reader such as `head` has enough.
process.stdout.on("error", () => process.exit());

process.exitCode = await run(process.argv.slice(2), {
  out: (line) => void process.stdout.write(`${line}\n`),
  err: (line) => void process.stderr.write(`${line}\n`),
  interactive: Boolean(process.stderr.isTTY),
  signal: interrupted.signal,
});
