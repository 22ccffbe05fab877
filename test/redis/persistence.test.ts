/** The server dies as a process does: at any moment, without a word. What it had acknowledged is there as far as it keeps anything. */
import { readdirSync, readFileSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { closeAll, drain, newPrefix, outcome, parked, processAt, says, textQueue } from "./processes.js";
import { type Server, type ServerOptions, startServer } from "./server.js";

let server: Server | undefined;

afterEach(async () => {
  await closeAll();
  await server?.stop();
  server = undefined;
});

async function start(options: ServerOptions): Promise<Server> {
  return (server = await startServer(options));
}

const WAVES = 30;
const WAVE = 20;

/** What was acknowledged, and what may or may not have had its effect, while the server was killed under load. */
async function loadUntilKilled(killed: Server, prefix: string): Promise<{ accepted: string[]; unknown: string[] }> {
  const queue = textQueue(processAt(killed.url, prefix));
  const accepted: string[] = [];
  const unknown: string[] = [];
  let n = 0;
  const send = async (): Promise<void> => {
    const data = `m${n++}`;
    const what = await outcome(queue.send({ data }));
    if (what === "INDETERMINATE") unknown.push(data);
    else if (typeof what === "object") accepted.push(data);
    else if (what !== "OFFLINE") throw new Error(`not what this fault brings: ${JSON.stringify(what)}`);
  };
  for (let wave = 0; wave < WAVES; wave++) await Promise.all(Array.from({ length: WAVE }, send));
  // Under way, partly: the process ends while these are on their way there or back.
  const last = Array.from({ length: 10 * WAVE }, send);
  await new Promise(setImmediate);
  await killed.kill();
  await killed.restart();
  await Promise.all(last);
  return { accepted, unknown };
}

describe("killed under load", { timeout: 60_000 }, () => {
  for (const aof of ["everysec", "always"] as const) {
    test(`with an append-only file, flushed ${aof}: everything acknowledged is there once, in order`, async () => {
      const killed = await start({ aof });
      const prefix = newPrefix();
      const { accepted, unknown } = await loadUntilKilled(killed, prefix);
      const left = await drain(textQueue(processAt(killed.url, prefix)));
      expect(new Set(left).size).toBe(left.length);
      expect(left.filter((data) => !unknown.includes(data))).toEqual(accepted);
      console.log(`${aof}: ${accepted.length} accepted, ${unknown.length} unknown, ${left.length} there`);
    });
  }

  test("without one: everything is gone, and every handle goes on with an empty queue", async () => {
    const killed = await start({});
    const prefix = newPrefix();
    const limits = { limits: { maxMessages: 2 } };
    const [a, b] = [textQueue(processAt(killed.url, prefix), limits), textQueue(processAt(killed.url, prefix), limits)];
    await a.send({ data: "lost" });
    const held = (await b.recv())!;
    await b.send({ data: "lost, too" });
    await killed.restart();
    // The delivery is gone with its message.
    expect(await held.ack()).toBe(false);
    // Opened again as it was.
    expect(await a.stats()).toMatchObject({ depth: 0, leased: 0 });
    await Promise.all([a.send({ data: "1" }), b.send({ data: "2" })]);
    expect(await outcome(a.send({ data: "3" }))).toBe("CAPACITY");
    expect((await drain(b)).sort()).toEqual(["1", "2"]);
  });

  test("without one, calls of many ticks under way: order is kept by those that ran after it", async () => {
    const killed = await start({});
    const queue = textQueue(processAt(killed.url, newPrefix()));
    await queue.send({ data: "0" });
    await killed.restart();
    const sending: Promise<unknown>[] = [];
    for (let i = 1; i <= 60; i++) {
      sending.push(i % 3 ? queue.send({ data: `${i}` }) : queue.sendMany([{ data: `${i}` }]));
      if (i % 7 === 0) await new Promise(setImmediate);
    }
    await Promise.all(sending);
    expect(await drain(queue)).toEqual(Array.from({ length: 60 }, (_, i) => `${i + 1}`));
  });

  for (const options of [{ aof: "always" }, {}] as const) {
    test(`a parked recv and a stream go on ${"aof" in options ? "with" : "without"} one`, async () => {
      const killed = await start(options);
      const prefix = newPrefix();
      const [waiting, streaming] = [textQueue(processAt(killed.url, prefix)), textQueue(processAt(killed.url, prefix))];
      const received = waiting.recv();
      await parked(streaming);
      const streamed = (async () => {
        for await (const message of streaming.stream()) return message.data;
        return undefined;
      })();
      await parked(waiting, 2);
      await killed.restart();
      const returnedAt = performance.now();
      const sender = textQueue(processAt(killed.url, prefix));
      await sender.sendMany([{ data: "a" }, { data: "b" }]);
      expect(new Set([(await received)?.data, await streamed])).toEqual(new Set(["a", "b"]));
      says("parked recv and stream after the server's return", returnedAt);
    });
  }

  test("a message that was held is held still, and its lease ends when it would have", async () => {
    const killed = await start({ aof: "always" });
    const queue = textQueue(processAt(killed.url, newPrefix()));
    await queue.sendMany([{ data: "a" }, { data: "b" }]);
    const [a, b] = [(await queue.recv())!, (await queue.recv({ leaseMs: 300 }))!];
    await killed.restart();
    // Its lease may have ended while the server was away: either way it comes once more.
    const again = (await queue.recv())!;
    expect([again.data, again.attempt]).toEqual(["b", 2]);
    expect(await b.ack()).toBe(false);
    expect(await a.ack()).toBe(true);
    expect(await again.ack()).toBe(true);
  });
});

describe("an append-only file with a torn end", { timeout: 60_000 }, () => {
  test("what stands before it is whole: no script's effects are there in part", async () => {
    const torn = await start({ aof: "always" });
    const prefix = newPrefix();
    const queue = textQueue(processAt(torn.url, prefix));
    const sent = Array.from({ length: 20 }, (_, i) => `m${i}`);
    for (const data of sent) await queue.send({ data, idempotencyKey: data });
    await queue.sendMany(Array.from({ length: 50 }, (_, i) => ({ data: `many${i}` })));
    await closeAll();
    await torn.kill();
    const file = incrementalFile(torn);
    // Into the middle of what the last script has written.
    const { size } = statSync(file);
    truncateSync(file, size - 1500);
    expect(readFileSync(file).length).toBe(size - 1500);
    await torn.restart();
    const after = textQueue(processAt(torn.url, prefix));
    const stats = await after.stats();
    const left = await drain(after);
    expect(left).toEqual(sent.slice(0, left.length));
    expect(stats).toMatchObject({ depth: left.length, idempotencyKeys: left.length });
    expect(left.length).toBe(sent.length);
    // And it goes on: with the keys that it knows, and the numbers that it had given out.
    expect(await after.send({ data: "m0", idempotencyKey: "m0" })).toMatchObject({ duplicate: true });
    await after.send({ data: "new" });
    expect(await drain(after)).toEqual(["new"]);
  });
});

function incrementalFile({ folder }: Server): string {
  const inside = join(folder, "appendonlydir");
  const name = readdirSync(inside).find((file) => file.endsWith(".incr.aof"));
  return join(inside, name!);
}
