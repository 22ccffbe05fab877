import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";

export interface ServerOptions {
  /** Keeps data in an append-only file, flushed this often. Default: nothing is kept. */
  aof?: "everysec" | "always";
  /** More lines of redis.conf, as arguments: `{ "maxmemory": "10mb" }`. */
  settings?: Record<string, string>;
}

/** A redis-server process of our own, on a free port, in a folder of its own. */
export interface Server {
  readonly port: number;
  readonly url: string;
  readonly folder: string;
  readonly pid: number;
  /** Ends the process without letting it finish anything. Resolves when it is gone. */
  kill(): Promise<void>;
  /** Starts it again, on the same port and folder. */
  restart(): Promise<void>;
  /** For good; its folder goes, too. */
  stop(): Promise<void>;
}

const BINARY = process.env["REDIS_SERVER"] ?? "redis-server";
const STARTS_WITHIN_MS = 10_000;

export async function startServer(options: ServerOptions = {}): Promise<Server> {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), "tabloom-redis-"));
  let child = await launch(port, folder, options);
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await gone;
  };
  return {
    port,
    folder,
    url: `redis://127.0.0.1:${port}`,
    get pid() {
      return child.pid!;
    },
    kill,
    async restart() {
      await kill();
      child = await launch(port, folder, options);
    },
    async stop() {
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function launch(port: number, folder: string, { aof, settings = {} }: ServerOptions): Promise<ChildProcess> {
  const lines: Record<string, string> = {
    port: String(port),
    bind: "127.0.0.1",
    dir: folder,
    save: "",
    daemonize: "no",
    appendonly: aof ? "yes" : "no",
    ...(aof ? { appendfsync: aof } : {}),
    ...settings,
  };
  const args = Object.entries(lines).flatMap(([name, value]) => [`--${name}`, value]);
  const child = spawn(BINARY, args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output = (output + chunk).slice(-4000)));
  child.stderr.on("data", (chunk: Buffer) => (output = (output + chunk).slice(-4000)));
  const failed = new Promise<never>((_, reject) => {
    child.once("error", (error) => reject(new Error(`${BINARY} does not start: install it (Debian: apt-get install redis-server) or set REDIS_SERVER`, { cause: error })));
    child.once("exit", (code) => reject(new Error(`redis-server ended with ${code}:\n${output}`)));
  });
  failed.catch(() => {});
  await Promise.race([failed, answering(port)]);
  return child;
}

/** Resolves when the server answers, with its data loaded. */
async function answering(port: number): Promise<void> {
  const endAt = performance.now() + STARTS_WITHIN_MS;
  for (;;) {
    const client = new Redis({ port, host: "127.0.0.1", lazyConnect: true, retryStrategy: () => null, maxRetriesPerRequest: 0 });
    client.on("error", () => {});
    try {
      await client.connect();
      await client.ping();
      return;
    } catch (error) {
      if (performance.now() >= endAt) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    } finally {
      client.disconnect();
    }
  }
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
