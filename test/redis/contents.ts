import { Redis } from "ioredis";
import type { Server } from "./server.js";

/** Everything that the server has. Fields of hashes and members of sets have no order. */
export async function contents(server: Server): Promise<Record<string, unknown>> {
  const client = new Redis(server.url, { lazyConnect: true });
  await client.connect();
  try {
    const keys = (await client.keys("*")).sort();
    const entries = keys.map(async (key) => [key, await valueOf(client, key)]);
    return Object.fromEntries(await Promise.all(entries)) as Record<string, unknown>;
  } finally {
    client.disconnect();
  }
}

async function valueOf(client: Redis, key: string): Promise<unknown> {
  const type = await client.type(key);
  switch (type) {
    case "string":
      return client.get(key);
    case "hash":
      return client.hgetall(key);
    case "zset":
      return client.zrange(key, "0", "-1", "WITHSCORES");
    case "set":
      return ((await client.smembers(key)) as string[]).sort();
    case "list":
      return client.lrange(key, 0, -1);
    case "stream":
      return client.xrange(key, "-", "+");
    default:
      throw new Error(`${key} is a ${type}`);
  }
}
