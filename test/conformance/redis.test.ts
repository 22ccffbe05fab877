import { afterAll, beforeAll, expect, test } from "vitest";
import { createRedisBackend } from "../../src/redis/backend.js";
import * as server from "../../src/server.js";
import { scriptNames } from "../../src/redis/kinds.js";
import { type KeyWatch, RARE, watchKeys } from "../redis/key-watch.js";
import { type Server, startServer } from "../redis/server.js";
import { runInNode } from "./in-node.js";

let redis: Server;
let watch: KeyWatch;

beforeAll(async () => {
  redis = await startServer();
  watch = await watchKeys(redis);
});
afterAll(async () => {
  watch?.stop();
  await redis?.stop();
});

runInNode({
  name: "redis",
  entry: server,
  connect: (space) => createRedisBackend({ redis: redis.url, prefix: space, testClock: true }),
});

test("meanwhile every script ran, and touched no key that it was not given", async () => {
  expect(await watch.faults()).toEqual([]);
  const seen = new Set([...(await watch.seen()), ...RARE]);
  expect(scriptNames().filter((name) => !seen.has(name))).toEqual([]);
}, 30_000);
