/**
 * Servers of our own for tests: each on a free port, in a folder of its own, stopped by its pid. No test talks to a server
 * that it did not start.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";

export interface ServerOptions {
  /** Keeps data in an append-only file, flushed this often. Default: nothing is kept. */
  aof?: "everysec" | "always";
  /** It copies this one. */
  replicaOf?: Server;
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
  /** Starts it again, on the same port and folder. Resolves when it answers, or without `loaded` when its port is open. */
  restart(options?: { loaded: boolean }): Promise<void>;
  /** Sends one command on a connection of its own. */
  ask(command: string, ...args: (string | number)[]): Promise<unknown>;
  /** For good; its folder goes, too. */
  stop(): Promise<void>;
}

export interface ClusterServers {
  readonly masters: readonly Server[];
  /** One of each master, in their order; or none. */
  readonly replicas: readonly Server[];
  /** For `new Cluster(...)`. */
  readonly nodes: { host: string; port: number }[];
  /** Resolves when every living node knows the same, whole cluster. */
  healed(): Promise<void>;
  stop(): Promise<void>;
}

const BINARY = process.env["REDIS_SERVER"] ?? "redis-server";
const HOST = "127.0.0.1";
const STARTS_WITHIN_MS = 20_000;
const SLOTS = 16_384;
/** The port on which nodes of a cluster talk to each other is so much higher. */
const BUS = 10_000;

const alive = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of alive) child.kill("SIGKILL");
});

export async function startServer(options: ServerOptions = {}): Promise<Server> {
  const folder = mkdtempSync(join(tmpdir(), "tabloom-redis-"));
  const clustered = options.settings?.["cluster-enabled"] === "yes";
  let port = 0;
  let child: ChildProcess | undefined;
  // Another test may take the port between the look and the start.
  for (let tries = 1; child === undefined; tries++) {
    port = await (clustered ? freeClusterPort() : freePort());
    child = await launch(port, folder, options, true).catch((error: Error) => {
      if (tries < 5 && /Address already in use|Failed listening/.test(error.message)) return undefined;
      rmSync(folder, { recursive: true, force: true });
      throw error;
    });
  }
  return serverOf(port, folder, options, child);
}

function serverOf(port: number, folder: string, options: ServerOptions, first: ChildProcess): Server {
  let child = first;
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await gone;
  };
  return {
    port,
    folder,
    url: `redis://${HOST}:${port}`,
    get pid() {
      return child.pid!;
    },
    kill,
    async restart({ loaded } = { loaded: true }) {
      await kill();
      child = await launch(port, folder, options, loaded);
    },
    ask: (command, ...args) => ask(port, command, ...args),
    async stop() {
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function launch(
  port: number,
  folder: string,
  { aof, replicaOf, settings = {} }: ServerOptions,
  loaded: boolean,
): Promise<ChildProcess> {
  const lines: Record<string, string> = {
    port: String(port),
    bind: HOST,
    dir: folder,
    save: "",
    daemonize: "no",
    appendonly: aof ? "yes" : "no",
    ...(aof ? { appendfsync: aof } : {}),
    // A replica need not wait for others to come.
    "repl-diskless-sync-delay": "0",
    ...(replicaOf ? { replicaof: `${HOST} ${replicaOf.port}` } : {}),
    ...settings,
  };
  const args = Object.entries(lines).flatMap(([name, value]) => [`--${name}`, value]);
  const child = spawn(BINARY, args, { stdio: ["ignore", "pipe", "pipe"] });
  alive.add(child);
  child.once("close", () => alive.delete(child));
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output = (output + chunk).slice(-4000)));
  child.stderr.on("data", (chunk: Buffer) => (output = (output + chunk).slice(-4000)));
  const failed = new Promise<never>((_, reject) => {
    child.once("error", (cause) => reject(new Error(missing(cause), { cause })));
    // "close", not "exit": by then all that it said has been read.
    child.once("close", (code) => reject(new Error(`redis-server ended with ${code}:\n${output}`)));
  });
  failed.catch(() => {});
  const stopped = { yes: false };
  try {
    await Promise.race([failed, answering(port, loaded, stopped)]);
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  } finally {
    stopped.yes = true;
  }
  return child;
}

function missing(cause: Error): string {
  return `${BINARY} does not start (${cause.message}): install it (Debian: apt-get install redis-server) or set REDIS_SERVER to one`;
}

/** Resolves when the server answers, with its data loaded if that is asked for. */
async function answering(port: number, loaded: boolean, stopped: { yes: boolean }): Promise<void> {
  await until(`the server on ${port} answers`, async () => {
    if (stopped.yes) return true;
    try {
      await ask(port, "PING");
      return true;
    } catch (error) {
      return !loaded && (error as Error).message.startsWith("LOADING");
    }
  });
}

async function ask(port: number, command: string, ...args: (string | number)[]): Promise<unknown> {
  const client = new Redis({
    port,
    host: HOST,
    lazyConnect: true,
    enableReadyCheck: false,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
  });
  client.on("error", () => {});
  try {
    await client.connect();
    return await client.call(command, ...args);
  } finally {
    client.disconnect();
  }
}

/** Asks until it is so: for what other processes do in their own time. */
export async function until(what: string, isSo: () => Promise<boolean> | boolean): Promise<void> {
  const endAt = performance.now() + STARTS_WITHIN_MS;
  while (!(await isSo())) {
    if (performance.now() >= endAt) throw new Error(`not within ${STARTS_WITHIN_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A cluster of three masters, each with a replica if asked for. */
export async function startCluster(options: { replicas?: boolean } & ServerOptions = {}): Promise<ClusterServers> {
  const settings = {
    "cluster-enabled": "yes",
    "cluster-node-timeout": "1000",
    "cluster-config-file": "nodes.conf",
    // A replica that was just made may take over, too.
    "cluster-replica-validity-factor": "0",
    ...options.settings,
  };
  const started = await Promise.allSettled(
    Array.from({ length: options.replicas ? 6 : 3 }, () => startServer({ ...options, settings })),
  );
  const servers = started.filter((one) => one.status === "fulfilled").map(({ value }) => value);
  const stop = async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.stop()));
  };
  try {
    for (const one of started) if (one.status === "rejected") throw one.reason;
    const [masters, replicas] = [servers.slice(0, 3), servers.slice(3)];
    await formCluster(masters, replicas);
    return {
      masters,
      replicas,
      nodes: servers.map(({ port }) => ({ host: HOST, port })),
      healed: () => until("the cluster is whole", () => isWhole(servers)),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function formCluster(masters: readonly Server[], replicas: readonly Server[]): Promise<void> {
  const servers = [...masters, ...replicas];
  await Promise.all(servers.map((server, i) => server.ask("CLUSTER", "SET-CONFIG-EPOCH", i + 1)));
  await Promise.all(
    masters.map((server, i) => {
      const from = Math.floor((i * SLOTS) / masters.length);
      const to = Math.floor(((i + 1) * SLOTS) / masters.length);
      // Not ADDSLOTSRANGE: Redis 6.2 has none.
      return server.ask("CLUSTER", "ADDSLOTS", ...Array.from({ length: to - from }, (_, slot) => from + slot));
    }),
  );
  for (const { port } of servers.slice(1)) await servers[0]!.ask("CLUSTER", "MEET", HOST, port);
  await until("all nodes know each other", async () => {
    const known = await Promise.all(servers.map(async (server) => (await clusterInfo(server))["cluster_known_nodes"]));
    return known.every((count) => count === String(servers.length));
  });
  await Promise.all(
    replicas.map(async (replica, i) =>
      replica.ask("CLUSTER", "REPLICATE", String(await masters[i]!.ask("CLUSTER", "MYID"))),
    ),
  );
  await until("the cluster is whole", () => isWhole(servers));
}

/** Every node says the same: who serves which slots, and, of those that are there, who copies whom. */
async function isWhole(servers: readonly Server[]): Promise<boolean> {
  const views = await Promise.all(servers.map((server) => viewOf(server, servers.length / 3).catch(() => undefined)));
  return views[0] !== undefined && views.every((view) => view === views[0]);
}

/** What it knows of the cluster, once that is all there is to know. */
async function viewOf(server: Server, perShard: number): Promise<string | undefined> {
  const info = await clusterInfo(server);
  if (info["cluster_state"] !== "ok" || info["cluster_slots_ok"] !== String(SLOTS)) return undefined;
  const replication = String(await server.ask("INFO", "replication"));
  const copies = replication.includes("role:slave");
  if (
    copies ? !replication.includes("master_link_status:up") : !replication.includes(`connected_slaves:${perShard - 1}`)
  ) {
    return undefined;
  }
  const shards = (await server.ask("CLUSTER", "SLOTS")) as [number, number, ...[string, number][]][];
  if (shards.some(([, , ...serving]) => serving.length !== perShard)) return undefined;
  const rows = shards.map(([from, to, ...serving]) => [from, to, ...serving.map(([, port]) => port)].join(" "));
  return rows.sort().join("\n");
}

async function clusterInfo(server: Server): Promise<Record<string, string>> {
  const lines = String(await server.ask("CLUSTER", "INFO"))
    .trim()
    .split(/\r?\n/);
  return Object.fromEntries(lines.map((line) => line.split(":") as [string, string]));
}

export function freePort(): Promise<number> {
  return listenOn(0).then(({ port }) => port);
}

async function freeClusterPort(): Promise<number> {
  for (;;) {
    const port = await freePort();
    if (port + BUS > 65_535) continue;
    const bus = await listenOn(port + BUS).catch(() => undefined);
    if (bus) return port;
  }
}

function listenOn(wanted: number): Promise<{ port: number }> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(wanted, HOST, () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve({ port }));
    });
  });
}
