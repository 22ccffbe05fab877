/** Everything that can fail, under work of every kind: nothing acknowledged is lost, nothing is doubled, and all of it goes on. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { afterEach, describe, expect, test } from "vitest";
import { startLoad } from "./load.js";
import { closeAll, newPrefix } from "./processes.js";
import { type Proxy, startProxy } from "./proxy.js";
import { type Server, type ServerOptions, startServer } from "./server.js";

interface Fault {
  readonly name: string;
  readonly server?: ServerOptions;
  /** Resolves when it is over: from then on the work has a second to go on. */
  act(way: Proxy, redis: Server, prefix: string): Promise<unknown>;
  /** Nobody says that it is over: a connection that is only listened to is asked every 4 s, and has 5 s to answer. */
  readonly noticedWithinMs?: number;
  /** The server loses what it had. */
  readonly lossy?: true;
}

/** "…go on within 1 s of the server's return" (server.md), but for what this process itself was kept from. */
const GOES_ON_WITHIN_MS = 1000;

/** A part of a fault, not a guess at how long something takes. */
const lasts = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function times(count: number, act: (i: number) => Promise<unknown>): Promise<void> {
  for (let i = 0; i < count; i++) {
    await lasts(50);
    await act(i);
  }
}

const FAULTS: readonly Fault[] = [
  {
    name: "the way is cut",
    act: (way) =>
      times(4, async () => {
        await way.cut();
        await lasts(60);
        await way.restore();
      }),
  },
  {
    name: "the way is slow",
    async act(way) {
      way.slow(40);
      await lasts(500);
      way.slow(0);
    },
  },
  {
    name: "connections are dead, though nobody said so",
    act: async (way) => way.silence(),
    noticedWithinMs: 9000,
  },
  {
    name: "replies are lost",
    act: (way, _, prefix) =>
      times(20, async (i) => {
        const kinds = ["queue", "topic", "job", "registry", "mutex"];
        way.loseReplyTo(`${prefix}:{${kinds[i % kinds.length]}`);
      }),
  },
  { name: "scripts are flushed", act: (_, redis) => times(10, () => redis.ask("SCRIPT", "FLUSH")) },
  {
    name: "the server stands still",
    act: (_, redis) =>
      times(3, async () => {
        process.kill(redis.pid, "SIGSTOP");
        await lasts(150);
        process.kill(redis.pid, "SIGCONT");
      }),
  },
  {
    name: "there is no memory left",
    async act(_, redis) {
      await redis.ask("CONFIG", "SET", "maxmemory", 1);
      await lasts(300);
      await redis.ask("CONFIG", "SET", "maxmemory", 0);
    },
  },
  {
    name: "writes are refused",
    async act(_, redis) {
      await redis.ask("CONFIG", "SET", "min-replicas-to-write", 1);
      await lasts(300);
      await redis.ask("CONFIG", "SET", "min-replicas-to-write", 0);
    },
  },
  {
    name: "somebody's script keeps the server busy",
    server: { settings: { "busy-reply-threshold": "30" } },
    async act(_, redis) {
      const endless = redis.ask("EVAL", "while true do end", 0).catch(() => {});
      await lasts(300);
      await redis.ask("SCRIPT", "KILL");
      await endless;
    },
  },
  {
    name: "the server is killed, with an append-only file",
    server: { aof: "everysec" },
    act: (_, redis) => times(2, () => redis.restart()),
  },
  { name: "the server is killed, without one", act: (_, redis) => times(2, () => redis.restart()), lossy: true },
  { name: "everything is flushed", act: (_, redis) => redis.ask("FLUSHALL"), lossy: true },
];

let redis: Server | undefined;
let way: Proxy | undefined;

afterEach(async () => {
  await way?.restore();
  await closeAll();
  await way?.stop();
  await redis?.stop();
});

describe(
  "nothing acknowledged is lost, nothing is doubled, and all goes on within a second",
  { timeout: 30_000 },
  () => {
    test.each(FAULTS)("$name", async ({ name, server, act, noticedWithinMs = 0, lossy = false }) => {
      redis = await startServer(server);
      way = await startProxy(redis.port);
      const { url } = way;
      const prefix = newPrefix();
      const load = startLoad(() => url, prefix);
      await load.goesOn();
      await act(way, redis, prefix);
      const stalls = monitorEventLoopDelay({ resolution: 10 });
      stalls.enable();
      const tookMs = await load.goesOn();
      stalls.disable();
      console.log(`${name}: all goes on after ${Math.round(tookMs)} ms`);
      expect(await load.end({ lossy })).toEqual([]);
      expect(tookMs).toBeLessThan(noticedWithinMs + GOES_ON_WITHIN_MS + stalls.max / 1e6);
    });
  },
);
