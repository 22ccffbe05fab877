import { inspect } from "node:util";
import { Cluster, Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { createRedisBackend } from "../../src/redis/backend.js";
import type { RedisTarget } from "../../src/redis/client.js";
import { queue } from "../../src/server.js";
import { type Server, freePort, startCluster, startServer } from "./server.js";

/** What no waiting helps against is told, and nothing is written elsewhere. */
let redis: Server;
beforeAll(async () => {
  redis = await startServer();
  await redis.ask("CONFIG", "SET", "requirepass", "s3cret");
});
afterAll(() => redis.stop());

async function send(target: RedisTarget): Promise<unknown> {
  const backend = createRedisBackend({ redis: target });
  try {
    return await queue({ id: "mail", schema: z.string(), backend }).send({ data: "hello" });
  } catch (error) {
    return error;
  } finally {
    await backend.close();
  }
}

const at = (login: string, database = ""): string => `redis://${login}127.0.0.1:${redis.port}${database}`;

describe("a server that does not let us in", () => {
  test.each([
    ["no password", ""],
    ["a wrong password", ":wr0ng@"],
    ["an unknown user", "nobody:s3cret@"],
  ])("%s: UNAUTHORIZED", { timeout: 20_000 }, async (_, login) => {
    const error = await send(at(login));
    expect(error).toMatchObject({ code: "UNAUTHORIZED", retryable: false });
    expect((error as Error).message).not.toContain("wr0ng");
  });

  test("a wrong password is told at once: nobody waits for a server that has answered", async () => {
    const nobody = await freePort();
    const first = await Promise.race([send(`redis://127.0.0.1:${nobody}`), send(at(":wr0ng@"))]);
    expect(first).toMatchObject({ code: "UNAUTHORIZED" });
  });

  test("so is that of a cluster", { timeout: 40_000 }, async () => {
    const cluster = await startCluster();
    for (const { ask } of cluster.masters) await ask("CONFIG", "SET", "requirepass", "s3cret");
    const options = { lazyConnect: true, redisOptions: { password: "wr0ng" } };
    const nobody = await freePort();
    const first = await Promise.race([send(`redis://127.0.0.1:${nobody}`), send(new Cluster(cluster.nodes, options))]);
    expect(first).toMatchObject({ code: "UNAUTHORIZED" });
    await cluster.stop();
  });

  test("nothing of the error tells the password, also not where it came from", async () => {
    expect(inspect(await send(at(":wr0ng@")), { depth: Infinity, showHidden: true })).not.toContain("wr0ng");
  });

  test("a password that becomes right lets the same backend in", async () => {
    const backend = createRedisBackend({ redis: at("late:s3cret@"), prefix: "late" });
    const mail = queue({ id: "mail", schema: z.string(), backend });
    await expect(mail.send({ data: "early" })).rejects.toMatchObject({ code: "UNAUTHORIZED" });
    expect(backend.status).toMatchObject({ state: "connecting", problem: expect.stringContaining("WRONGPASS") });
    const client = new Redis({ port: redis.port, password: "s3cret" });
    await client.call("ACL", "SETUSER", "late", "on", ">s3cret", "~*", "&*", "+@all");
    client.disconnect();
    await expect.poll(() => mail.send({ data: "late" }).catch(String)).toMatchObject({ duplicate: false });
    expect(backend.status).toMatchObject({ state: "ready", problem: undefined });
    await backend.close();
  });

  test("a database that there is not: VALIDATION, and nothing in another one", async () => {
    expect(await send(at(":s3cret@", "/77"))).toMatchObject({ code: "VALIDATION" });
    expect(await send(at(":s3cret@", "/1"))).toMatchObject({ duplicate: false });
    const backend = createRedisBackend({ redis: at(":s3cret@") });
    expect(await backend.root.call("space.instances", {})).toEqual([]);
    await backend.close();
  });
});
