import { afterAll, beforeAll } from "vitest";
import { createRedisBackend } from "../../src/redis/backend.js";
import * as server from "../../src/server.js";
import { type Server, startServer } from "../redis/server.js";
import { runInNode } from "./in-node.js";

let redis: Server;

beforeAll(async () => {
  redis = await startServer();
});
afterAll(() => redis.stop());

runInNode({
  name: "redis",
  entry: server,
  connect: (space) => createRedisBackend({ redis: redis.url, prefix: space, testClock: true }),
});
