/** The server is there and refuses: what it says becomes an error that says what to do, and nothing is half-written. */
import { mkdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { contents } from "./contents.js";
import { drain, endAll, newPrefix, outcome, parked, processAt, textQueue } from "./processes.js";
import { startProxy } from "./proxy.js";
import { type Server, type ServerOptions, startServer, until } from "./server.js";

let redis: Server;
const others: Server[] = [];

beforeAll(async () => {
  redis = await startServer();
});
afterAll(() => endAll(redis, ...others));

async function another(options: ServerOptions): Promise<Server> {
  const server = await startServer(options);
  others.push(server);
  return server;
}

describe.concurrent("SCRIPT FLUSH", { timeout: 30_000 }, () => {
  /** Sends with two scripts in turn, in many ticks; the scripts are flushed meanwhile. */
  async function sendAndFlush(queue: ReturnType<typeof textQueue>, total: number): Promise<void> {
    const sending: Promise<unknown>[] = [];
    const flushing: Promise<unknown>[] = [];
    for (let i = 0; i < total; i++) {
      sending.push(i % 3 === 0 ? queue.sendMany([{ data: `${i}` }]) : queue.send({ data: `${i}` }));
      if (i % 100 === 50) flushing.push(redis.ask("SCRIPT", "FLUSH", i % 200 === 50 ? "SYNC" : "ASYNC"));
      if (i % 5 === 0) await new Promise(setImmediate);
    }
    await Promise.all([...sending, ...flushing]);
  }

  /** Takes and settles, several at a time, until there were so many. */
  async function work(queue: ReturnType<typeof textQueue>, total: number): Promise<string[]> {
    const got: string[] = [];
    while (got.length < total) {
      const messages = await queue.recvMany({ max: 10 });
      got.push(...messages.map(({ data }) => data));
      expect(await Promise.all(messages.map((message) => message.ack()))).not.toContain(false);
    }
    return got;
  }

  const inOrder = (total: number): string[] => Array.from({ length: total }, (_, i) => `${i}`);

  test("under load: calls of one handle keep their order", async () => {
    const queue = textQueue(processAt(redis.url, newPrefix()));
    const working = work(queue, 2000);
    await sendAndFlush(queue, 2000);
    expect(await working).toEqual(inOrder(2000));
    expect(await queue.stats()).toMatchObject({ depth: 0, leased: 0, dead: 0 });
  });

  test("under load of several processes: nothing is lost or doubled", async () => {
    const prefix = newPrefix();
    const [sender, receiver] = [textQueue(processAt(redis.url, prefix)), textQueue(processAt(redis.url, prefix))];
    const working = work(receiver, 2000);
    await sendAndFlush(sender, 2000);
    expect((await working).sort()).toEqual(inOrder(2000).sort());
    expect(await receiver.stats()).toMatchObject({ depth: 0, leased: 0, dead: 0 });
  });

  test("while somebody waits", async () => {
    const prefix = newPrefix();
    const [sender, receiver] = [textQueue(processAt(redis.url, prefix)), textQueue(processAt(redis.url, prefix))];
    const received = receiver.recv();
    await parked(sender);
    await redis.ask("SCRIPT", "FLUSH");
    await sender.send({ data: "a" });
    expect((await received)?.data).toBe("a");
  });
});

describe.concurrent("calls of one tick in two scripts, of which the first does not run,", { timeout: 30_000 }, () => {
  test("keep their order when another process loads flushed scripts between the two", async () => {
    const flushed = await another({});
    const way = await startProxy(flushed.port);
    const prefix = newPrefix();
    const queue = textQueue(processAt(way.url, prefix));
    await queue.send({ data: "0" });
    await flushed.ask("SCRIPT", "FLUSH");
    const held = way.holdLast();
    const sending = [queue.sendMany([{ data: "1" }]), queue.send({ data: "2", idempotencyKey: "2" })];
    const pass = await held;
    const near = textQueue(processAt(flushed.url, prefix));
    await near.stats();
    pass();
    await Promise.all(sending);
    await way.stop();
    expect(await drain(near)).toEqual(["0", "1", "2"]);
  });

  test("keep their order when something is due, for which the plain script is not made", async () => {
    const prefix = newPrefix();
    const queue = textQueue(processAt(redis.url, prefix));
    await queue.send({ data: "0", delayMs: 1000 });
    // Before any process has done it.
    await redis.ask("HSET", `${prefix}:{queue::default:work}:meta`, "clock", 2000);
    await Promise.all([queue.send({ data: "1" }), queue.sendMany([{ data: "2" }])]);
    expect(await drain(queue)).toEqual(["0", "1", "2"]);
  });
});

describe.concurrent("no memory left", { timeout: 30_000 }, () => {
  test("what would grow is refused with QUOTA, and nothing is half-written; what frees goes on", async () => {
    const full = await another({ settings: { maxmemory: "20mb", "maxmemory-policy": "noeviction" } });
    const queue = textQueue(processAt(full.url, newPrefix()), { limits: { payloadBytes: 1_000_000 } });
    const data = "x".repeat(10_000);
    await queue.sendMany(Array.from({ length: 20 }, () => ({ data })));
    const held = (await queue.recv())!;
    await full.ask("CONFIG", "SET", "maxmemory", "1mb");
    const before = await contents(full);

    const grown = [
      queue.send({ data: "y" }),
      queue.send({ data: "y", delayMs: 1000, priority: 1 }),
      queue.send({ data: "y", idempotencyKey: "k" }),
      queue.sendMany([{ data: "y" }, { data: "z", idempotencyKey: "k" }]),
      textQueue(processAt(full.url, newPrefix())).send({ data: "another queue" }),
    ];
    for (const error of await Promise.all(grown.map((call) => call.then(String, (thrown: unknown) => thrown)))) {
      expect(error).toMatchObject({ code: "QUOTA", retryable: true });
    }
    expect(await contents(full)).toEqual(before);

    expect(await held.ack()).toBe(true);
    expect(await queue.purge()).toBe(19);
    await full.ask("CONFIG", "SET", "maxmemory", "20mb");
    await queue.send({ data: "again", idempotencyKey: "k" });
    expect(await drain(queue)).toEqual(["again"]);
  });

  test("who waits goes on waiting, though it asks again meanwhile", async () => {
    const full = await another({});
    const prefix = newPrefix();
    const [waiting, sender] = [textQueue(processAt(full.url, prefix)), textQueue(processAt(full.url, prefix))];
    const received = outcome(waiting.recv());
    await parked(sender);
    await full.ask("CONFIG", "SET", "maxmemory", 1);
    const scripts = async () => /cmdstat_evalsha:calls=\d+/.exec(String(await full.ask("INFO", "commandstats")))?.[0];
    const before = await scripts();
    await full.ask("PUBLISH", `${prefix}:{queue::default:work}:meta`, "wake");
    await until("it has asked again", async () => (await scripts()) !== before);
    await full.ask("CONFIG", "SET", "maxmemory", 0);
    await sender.send({ data: "a" });
    expect(await received).toMatchObject({ data: "a" });
  });

  test("calls that are refused in a batch leave nothing of any of them", async () => {
    const full = await another({ settings: { maxmemory: "20mb", "maxmemory-policy": "noeviction" } });
    const queue = textQueue(processAt(full.url, newPrefix()), { ordering: { mode: "ordering_key_partitioned" } });
    await queue.send({ data: "before", orderingKey: "a" });
    await full.ask("CONFIG", "SET", "maxmemory", "1mb");
    const before = await contents(full);
    const calls = Array.from({ length: 10 }, (_, i) =>
      queue.send({ data: `${i}`, orderingKey: i % 2 ? "a" : "b", idempotencyKey: `${i}` }),
    );
    expect(await Promise.all(calls.map(outcome))).toEqual(calls.map(() => "QUOTA"));
    expect(await contents(full)).toEqual(before);
  });
});

describe.concurrent("a replica", { timeout: 30_000 }, () => {
  test("does nothing, and says so: calls may be retried", async () => {
    const replica = await another({ replicaOf: redis });
    await until("it follows", async () => String(await replica.ask("INFO", "replication")).includes("link_status:up"));
    const prefix = newPrefix();
    const master = textQueue(processAt(redis.url, prefix));
    await master.send({ data: "a" });
    const queue = textQueue(processAt(replica.url, prefix));
    const calls = [queue.send({ data: "b" }), queue.send({ data: "c" }), queue.recv({ wait: false })];
    for (const error of await Promise.all(calls.map((call) => call.then(String, (thrown: unknown) => thrown)))) {
      expect(error).toMatchObject({ code: "OFFLINE", retryable: true });
    }
    expect(await drain(master)).toEqual(["a"]);
  });

  test("that takes its master's place serves what waits", async () => {
    const replica = await another({ replicaOf: redis });
    await until("it follows", async () => String(await replica.ask("INFO", "replication")).includes("link_status:up"));
    const queue = textQueue(processAt(replica.url, newPrefix()));
    const sending = [queue.send({ data: "a" }), queue.sendMany([{ data: "b" }]), queue.send({ data: "c" })];
    const received = queue.recv();
    await replica.ask("REPLICAOF", "NO", "ONE");
    await Promise.all(sending);
    expect((await received)?.data).toBe("a");
    expect(await drain(queue)).toEqual(["b", "c"]);
  });
});

describe.concurrent("a server that loads", { timeout: 60_000 }, () => {
  test("is waited for", async () => {
    // Slower than it need be, by a setting of Redis for such tests.
    const slowly = { "key-load-delay": "5000", "loading-process-events-interval-bytes": "1024" };
    const loading = await another({ settings: slowly });
    const prefix = newPrefix();
    const queue = textQueue(processAt(loading.url, prefix));
    await queue.send({ data: "before" });
    for (let i = 0; i < 300; i++) await loading.ask("SET", `filler:${i}`, "x".repeat(100));
    await loading.ask("SAVE");
    await loading.restart({ loaded: false });
    // It answers, and says that it loads.
    expect(await loading.ask("PING").then(String, String)).toMatch(/LOADING/);
    const late = textQueue(processAt(loading.url, prefix));
    const sending = [late.send({ data: "1" }), late.sendMany([{ data: "2" }])];
    const received = queue.recv();
    await Promise.all(sending);
    expect((await received)?.data).toBe("before");
    expect(await drain(queue)).toEqual(["1", "2"]);
  });
});

describe.concurrent("a disk that cannot be written", { timeout: 30_000 }, () => {
  test("changes are refused with STORAGE, nothing is half-written, and reads and waits go on", async () => {
    const server = await another({ settings: { save: "3600 1000000" } });
    const prefix = newPrefix();
    const queue = textQueue(processAt(server.url, prefix));
    await queue.send({ data: "a" });
    // A folder where its snapshot should be: root writes everywhere else.
    mkdirSync(join(server.folder, "dump.rdb"));
    await server.ask("BGSAVE");
    await until("the snapshot failed", async () =>
      String(await server.ask("INFO", "persistence")).includes("rdb_last_bgsave_status:err"),
    );
    const before = await contents(server);
    const error = await queue.send({ data: "b" }).then(String, (thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "STORAGE", retryable: true });
    expect(await outcome(queue.send({ data: "b", idempotencyKey: "b" }))).toBe("STORAGE");
    expect(await contents(server)).toEqual(before);
    rmdirSync(join(server.folder, "dump.rdb"));
    await server.ask("BGSAVE");
    await until("the snapshot is written", async () =>
      String(await server.ask("INFO", "persistence")).includes("rdb_last_bgsave_status:ok"),
    );
    expect(await outcome(queue.send({ data: "b", idempotencyKey: "b" }))).toMatchObject({ duplicate: false });
    expect(await drain(queue)).toEqual(["a", "b"]);
  });
});

describe.concurrent("a server that is busy with somebody's script", { timeout: 30_000 }, () => {
  test("is waited for; what it was too busy for runs once, in order", async () => {
    const server = await another({ settings: { "busy-reply-threshold": "50" } });
    const queue = textQueue(processAt(server.url, newPrefix()));
    await queue.send({ data: "0" });
    const endless = server.ask("EVAL", "while true do end", 0).catch(String);
    await until("it is busy", async () => (await outcome(server.ask("PING").catch(String))) !== "PONG");
    const sending = [queue.send({ data: "1" }), queue.sendMany([{ data: "2" }]), queue.send({ data: "3" })];
    // They have been refused by the time that this is.
    expect(await server.ask("PING").then(String, String)).toMatch(/BUSY/);
    await server.ask("SCRIPT", "KILL");
    expect(await endless).toMatch(/killed/i);
    await Promise.all(sending);
    expect(await drain(queue)).toEqual(["0", "1", "2", "3"]);
  });

  test("longer than a one-shot call may wait: OFFLINE, and it does not run later", async () => {
    const server = await another({ settings: { "busy-reply-threshold": "50" } });
    const queue = textQueue(processAt(server.url, newPrefix()));
    await queue.send({ data: "0" });
    const endless = server.ask("EVAL", "while true do end", 0).catch(String);
    await until("it is busy", async () => (await outcome(server.ask("PING").catch(String))) !== "PONG");
    const sent = await queue.send({ data: "1" }).then(String, (thrown: unknown) => thrown);
    await server.ask("SCRIPT", "KILL");
    await endless;
    expect(sent).toMatchObject({ code: "OFFLINE", retryable: true });
    expect(await drain(queue)).toEqual(["0"]);
  });
});
