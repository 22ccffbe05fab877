/**
 * Starts a shop: a producer, two workers, a scheduler, each a process of its own, on one Redis. Kills a worker in the
 * middle of an order, and shows that another finishes it. Ctrl-C ends it all.
 *
 *   node examples/redis/start.mjs               until Ctrl-C
 *   node examples/redis/start.mjs --orders 12   ends when so many orders are shipped
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { startRedis } from "./own-redis.mjs";

const { values } = parseArgs({ options: { orders: { type: "string" } } });
const wanted = values.orders === undefined ? Infinity : Number(values.orders);

const redis = process.env.REDIS_URL ? undefined : await startRedis();
const url = redis?.url ?? process.env.REDIS_URL;
note(redis ? `a Redis of our own on ${url}` : "the Redis that REDIS_URL names");

/** Every step that was done, of every order. */
const steps = [];
const shipped = new Set();
let ready = 0;
let killed;
let ending;

const staff = new Map();
for (const [name, file] of [
  ["ann", "worker"],
  ["bob", "worker"],
  ["sue", "scheduler"],
]) {
  hire(name, file);
}
process.on("SIGINT", () => void end(0));
process.on("SIGTERM", () => void end(0));

function hire(name, file) {
  const env = { ...process.env, REDIS_URL: url, SHOP_NAME: name };
  if (Number.isFinite(wanted)) env.SHOP_ORDERS = String(wanted);
  // Its own group: Ctrl-C reaches this process, which then ends them in turn. Without it they end, too: their input does.
  const child = spawn(process.execPath, [new URL(`${file}.mjs`, import.meta.url).pathname], {
    env,
    detached: true,
    stdio: ["pipe", "pipe", "inherit"],
  });
  staff.set(name, child);
  createInterface(child.stdout).on("line", (line) => heard(name, line));
  child.on("exit", (code, signal) => {
    staff.delete(name);
    if (ending || name === killed?.name || (file === "producer" && code === 0)) return;
    note(`${name} ended with ${signal ?? code}`);
    void end(1);
  });
}

function heard(name, line) {
  console.log(line);
  if (line.includes("is ready to work") && ++ready === 2) hire("pat", "producer");
  const order = Number(/order (\d+)/.exec(line)?.[1]);
  const done = /order \d+ is (\w+)( already)?$/.exec(line);
  if (done && !done[2]) steps.push(`${order} ${done[1]}`);
  if (done?.[1] === "charged" && name === "bob" && !killed && shipped.size > 1) killBob(order);
  if (done?.[1] !== "shipped") return;
  shipped.add(order);
  if (order === killed?.order) {
    const seconds = ((performance.now() - killed.at) / 1000).toFixed(1);
    note(`${name} has finished order ${order}, which bob had begun, ${seconds} s after his end`);
  }
  if (shipped.size >= wanted) finish();
}

function killBob(order) {
  killed = { name: "bob", order, at: performance.now() };
  staff.get("bob").kill("SIGKILL");
  note(`bob is killed in the middle of order ${order}; ann will go on with it when his lease is over`);
}

function finish() {
  const twice = steps.filter((step, i) => steps.indexOf(step) < i);
  note(`${shipped.size} orders shipped; steps that were done twice: ${twice.length === 0 ? "none" : twice.join(", ")}`);
  void end(0);
}

/** Everybody hands back what they have, then the server ends. */
async function end(code) {
  if (ending) return;
  ending = true;
  const gone = [...staff.values()].map((child) => new Promise((resolve) => child.once("exit", resolve)));
  for (const child of staff.values()) child.stdin.end();
  const patience = setTimeout(() => {
    for (const child of staff.values()) child.kill("SIGKILL");
  }, 5000);
  await Promise.all(gone);
  clearTimeout(patience);
  await redis?.stop();
  note("closed");
  process.exitCode = code;
}

function note(text) {
  console.log(`--- ${text}`);
}
