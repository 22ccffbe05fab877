import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { createRedisBackend } from "../../src/redis/backend.js";
import { queue } from "../../src/server.js";
import { type Server, startServer } from "./server.js";

/** What no waiting helps against is told, and nothing is written elsewhere. */
let redis: Server;
beforeAll(async () => {
  redis = await startServer();
  await redis.ask("CONFIG", "SET", "requirepass", "s3cret");
});
afterAll(() => redis.stop());

async function send(url: string): Promise<unknown> {
  const backend = createRedisBackend({ redis: url });
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

  test("a database that there is not: VALIDATION, and nothing in another one", async () => {
    expect(await send(at(":s3cret@", "/77"))).toMatchObject({ code: "VALIDATION" });
    expect(await send(at(":s3cret@", "/1"))).toMatchObject({ duplicate: false });
    const backend = createRedisBackend({ redis: at(":s3cret@") });
    expect(await backend.root.call("space.instances", {})).toEqual([]);
    await backend.close();
  });
});
