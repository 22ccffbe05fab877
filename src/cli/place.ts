import type { Cluster, Redis } from "../redis/client.js";
import { clusterAt, connectOnce } from "../redis/connect-once.js";
import { checkedPrefix } from "../redis/keys.js";
import { readInfo } from "../redis/server-info.js";
import { checkedTarget, defaultTarget } from "../redis/target.js";
import { Trouble, noServer } from "./trouble.js";

/** Which server, and which of its keys. */
export interface PlaceOptions {
  redis?: string;
  prefix: string;
}

export interface Place {
  /** As it may be shown: without the password. */
  readonly where: string;
  readonly prefix: string;
  /** A connection of our own to the server at the address; the caller closes it. */
  readonly connection: Redis;
  readonly info: Record<string, string | undefined>;
  /** What a backend connects with. */
  readonly target: string | Cluster;
  /** The server is a node of this. */
  readonly cluster: Cluster | undefined;
}

/** Goes to the server once, so that what is wrong on the way is told at once. */
export async function findPlace({ redis, prefix }: PlaceOptions): Promise<Place> {
  checkedPrefix(prefix);
  const url = checkedTarget(redis ?? defaultTarget()) as string;
  const where = withoutPassword(url);
  const connection = await connectOnce(url).catch((error: unknown) => {
    throw noServer(where, error);
  });
  const info = await readInfo(connection);
  const cluster = info["cluster_enabled"] === "1" ? await clusterAt(url) : undefined;
  return { where, prefix, connection, info, target: cluster ?? url, cluster };
}

function withoutPassword(url: string): string {
  if (url.startsWith("/")) return url;
  try {
    const { protocol, host, pathname, username } = new URL(url);
    return `${protocol}//${username ? `${username}@` : ""}${host}${pathname === "/" ? "" : pathname}`;
  } catch (cause) {
    throw new Trouble("VALIDATION", "the address is not a URL, such as redis://127.0.0.1:6379", { cause });
  }
}
