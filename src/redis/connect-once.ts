import { type Cluster, type Redis, loadIoredis } from "./client.js";

/** Within this time a server answers, or there is none. */
const PATIENCE_MS = 5000;

/** One connection, not made again when it breaks: to look at a server itself. Rejects with why there is none. */
export async function connectOnce(url: string): Promise<Redis> {
  const { Redis } = await loadIoredis();
  const connection = new Redis(url, {
    lazyConnect: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    enableReadyCheck: false,
    replyMapping: "legacy",
    connectTimeout: PATIENCE_MS,
    socketTimeout: PATIENCE_MS,
  });
  // What connect() rejects with is only that it did not come about. A database that is not there is told here alone.
  let reason: Error | undefined;
  connection.on("error", (error: Error) => (reason = error));
  try {
    await connection.connect();
    await connection.ping();
    if (reason) throw reason;
    return connection;
  } catch (error) {
    connection.disconnect();
    throw reason ?? error;
  }
}

/** The cluster to which the server at this address belongs; not connected, and not tried again by itself. */
export async function clusterAt(url: string): Promise<Cluster> {
  const { Cluster } = await loadIoredis();
  const { hostname, port, username, password, protocol } = new URL(url);
  const cluster = new Cluster([{ host: hostname, port: Number(port) || 6379 }], {
    lazyConnect: true,
    clusterRetryStrategy: () => null,
    redisOptions: {
      replyMapping: "legacy",
      ...(username ? { username: decodeURIComponent(username) } : {}),
      ...(password ? { password: decodeURIComponent(password) } : {}),
      ...(protocol === "rediss:" ? { tls: {} } : {}),
    },
  });
  // Told by what is asked of it.
  cluster.on("error", () => {});
  return cluster;
}

/** Whether it can be connected to: not while a part of it is away. Its own connect() would leave that open. */
export function isWhole(cluster: Cluster): Promise<boolean> {
  return new Promise((resolve) => {
    cluster.once("end", () => resolve(false));
    cluster.connect().then(
      () => resolve(true),
      () => resolve(false),
    );
  });
}
