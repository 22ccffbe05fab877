import { type ChildProcess, spawn } from "node:child_process";
import { afterEach, describe, expect, test } from "vitest";
import { connect as dial } from "node:net";
import { startServer } from "../test/redis/server.js";

/** Ctrl-C where a test failed, so that no shop outlives it. */
const running = new Set<ChildProcess>();
afterEach(() => {
  for (const child of running) child.kill("SIGINT");
});

interface Shop {
  readonly child: ChildProcess;
  readonly lines: string[];
  /** Resolves when it has said so, or has ended. */
  says(pattern: RegExp): Promise<string | undefined>;
  readonly code: Promise<number | null>;
}

function open(args: string[], env: Record<string, string> = {}): Shop {
  const { REDIS_URL: _, ...inherited } = process.env;
  const child = spawn(process.execPath, ["examples/redis/start.mjs", ...args], { env: { ...inherited, ...env } });
  running.add(child);
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  const look = (): void => {
    for (const wake of waiting) wake();
  };
  let text = "";
  const read = (chunk: Buffer): void => {
    text += chunk.toString();
    lines.splice(0, lines.length, ...text.split("\n").filter(Boolean));
    look();
  };
  child.stdout.on("data", read);
  child.stderr.on("data", read);
  let ended = false;
  const code = new Promise<number | null>((resolve) => {
    child.once("close", (exitCode) => {
      ended = true;
      running.delete(child);
      resolve(exitCode);
      look();
    });
  });
  const says = async (pattern: RegExp): Promise<string | undefined> => {
    for (;;) {
      const found = lines.find((line) => pattern.test(line));
      if (found !== undefined || ended) return found;
      await new Promise<void>((resolve) => {
        waiting.add(resolve);
      });
      waiting.clear();
    }
  };
  return { child, lines, says, code };
}

const portOpen = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = dial(port, "127.0.0.1");
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });

describe("examples/redis", () => {
  test("all orders are shipped, though a worker is killed with one of them in his hands", async () => {
    const shop = open(["--orders", "8"]);
    expect({ code: await shop.code, lines: shop.lines }).toMatchObject({ code: 0 });
    const order = Number(/killed in the middle of order (\d+)/.exec(shop.lines.join("\n"))?.[1]);
    expect(shop.lines).toContain(`bob order ${order} is charged`);
    expect(shop.lines).toContain(`ann order ${order} is charged already`);
    expect(shop.lines).toContain(`ann order ${order} is shipped`);
    expect(shop.lines.filter((line) => / order \d+ is shipped$/.test(line))).toHaveLength(8);
    expect(shop.lines).toContain("--- 8 orders shipped; steps that were done twice: none");
    expect(shop.lines.join("\n")).toMatch(/(ann|bob) writes the daily report, asked for by schedule each-minute/);
    expect(shop.lines.at(-1)).toBe("--- closed");
  });

  test("Ctrl-C ends all of it, the server too", async () => {
    const shop = open([]);
    const port = Number(/:(\d+)$/.exec((await shop.says(/a Redis of our own/))!)![1]);
    expect({ shipped: await shop.says(/is shipped$/), lines: shop.lines }).toMatchObject({
      shipped: expect.any(String),
    });
    expect(await portOpen(port)).toBe(true);
    shop.child.kill("SIGINT");
    expect(await shop.code).toBe(0);
    for (const name of ["ann", "sue", "pat"]) expect(shop.lines).toContain(`${name} has stopped`);
    expect(await portOpen(port)).toBe(false);
  });

  test("uses the server that REDIS_URL names, and leaves it running", async () => {
    const redis = await startServer();
    try {
      const shop = open(["--orders", "1"], { REDIS_URL: redis.url });
      expect({ code: await shop.code, lines: shop.lines }).toMatchObject({ code: 0 });
      expect(await redis.ask("HKEYS", "shop:instances")).not.toEqual([]);
    } finally {
      await redis.stop();
    }
  });

  test("says how to install what is missing", async () => {
    const shop = open([], { REDIS_SERVER: "no-such-redis-server" });
    expect(await shop.code).toBe(1);
    expect(shop.lines).toEqual([expect.stringMatching(/^no-such-redis-server does not start: install it .*apt-get/)]);
  });
});
