import { Cluster } from "ioredis";
import { afterAll, beforeAll } from "vitest";
import { createRedisBackend } from "../../src/redis/backend.js";
import * as server from "../../src/server.js";
import { type ClusterServers, startCluster } from "../redis/server.js";
import { runInNode } from "./in-node.js";

let redis: ClusterServers;

beforeAll(async () => {
  redis = await startCluster();
}, 30_000);
afterAll(() => redis?.stop());

runInNode({
  name: "redis-cluster",
  entry: server,
  // Its settings are used; it is never connected itself.
  connect: (space) =>
    createRedisBackend({ redis: new Cluster(redis.nodes, { lazyConnect: true }), prefix: space, testClock: true }),
});
