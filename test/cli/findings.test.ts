import { describe, expect, test } from "vitest";
import type { Facts, NodeFacts } from "../../src/cli/facts.js";
import { type Finding, judge } from "../../src/cli/findings.js";

/** What no server here can be brought to say: judged from what it would. */
const node = (change: Partial<NodeFacts> = {}, info: Record<string, string> = {}): NodeFacts => ({
  address: "a:1",
  info: { redis_version: "7.0.15", role: "master", connected_slaves: "0", maxmemory: "0", ...info },
  policy: "noeviction",
  persistence: "aof-everysec",
  skewMs: 0,
  withinMs: 1,
  ...change,
});

const facts = (nodes: NodeFacts[], change: Partial<Facts> = {}): Facts => ({
  prefix: "tabloom",
  nodes,
  cluster: undefined,
  user: "default",
  scripts: { loaded: 1 },
  pubsub: {},
  denied: [],
  ...change,
});

const of = (name: string, ...given: Parameters<typeof facts>): Finding =>
  judge(facts(...given)).find((finding) => finding.name === name)!;

describe("what doctor thinks", () => {
  test.each([
    ["6.0.16", "wrong"],
    ["6.2.0", "ok"],
    ["7.2.4", "ok"],
    ["10.0.0", "ok"],
    ["5.9.9", "wrong"],
  ])("of version %s: %s", (redis_version, state) => {
    expect(of("version", [node({}, { redis_version })]).state).toBe(state);
  });

  test("Valkey is called by its name", () => {
    const info = { redis_version: "7.2.4", valkey_version: "8.1.0" };
    expect(of("version", [node({}, info)])).toMatchObject({ state: "ok", found: "Valkey 8.1.0 (Redis 7.2.4)" });
  });

  test.each([
    ["aof-always", "0", "ok"],
    ["aof-everysec", "0", "ok"],
    ["aof-no", "0", "risk"],
    ["snapshots", "0", "risk"],
    ["none", "0", "wrong"],
    ["none", "2", "risk"],
    [undefined, "0", "risk"],
  ] as const)("of persistence %s with %s replicas: %s", (persistence, connected_slaves, state) => {
    expect(of("persistence", [node({ persistence }, { connected_slaves })]).state).toBe(state);
  });

  test.each(["aof_last_write_status", "rdb_last_bgsave_status"])("a disk that fails (%s) is wrong", (status) => {
    expect(of("persistence", [node({}, { [status]: "err" })]).state).toBe("wrong");
  });

  test.each([
    [900, "ok"],
    [-900, "ok"],
    [5_000, "risk"],
    [-5_000, "risk"],
    [90_000, "wrong"],
  ])("of a clock that is %d ms ahead: %s", (skewMs, state) => {
    expect(of("clock", [node({ skewMs })]).state).toBe(state);
  });

  test("a slow connection is not taken for a wrong clock", () => {
    expect(of("clock", [node({ skewMs: 1_800, withinMs: 1_000 })]).state).toBe("ok");
  });

  test("memory that is almost full is a risk", () => {
    expect(of("memory", [node({}, { maxmemory: "100", used_memory: "95" })]).state).toBe("risk");
  });

  test("a replica that is not in step is a risk", () => {
    const info = { connected_slaves: "1", slave0: "ip=1.1.1.1,port=1,state=wait_bgsave" };
    expect(of("replicas", [node({}, info)]).state).toBe("risk");
  });

  test("a cluster with slots that nobody serves is wrong", () => {
    const cluster = { cluster_state: "fail", cluster_slots_ok: "10000" };
    expect(of("cluster", [node()], { cluster }).state).toBe("wrong");
  });

  test("a server that tells nothing is a risk, not fine", () => {
    const silent = node({ info: {}, policy: undefined, persistence: undefined });
    const said = Object.fromEntries(judge(facts([silent])).map(({ name, state }) => [name, state]));
    expect(said).toMatchObject({ version: "risk", eviction: "risk", persistence: "risk" });
  });

  test("whatever is not fine says what to do", () => {
    const worst = node(
      { policy: "volatile-lru", persistence: "none", skewMs: 1e6 },
      { redis_version: "5.0.0", maxmemory: "1", used_memory: "1" },
    );
    const cluster = { cluster_state: "fail" };
    const scripts = { loaded: 0, problem: "ERR unknown command 'SCRIPT'" };
    const all = judge(facts([worst], { cluster, scripts, pubsub: { problem: "not heard" }, denied: ["HSET"] }));
    expect(all.filter(({ state, todo }) => state !== "ok" && todo === undefined)).toEqual([]);
    expect(all.filter(({ state }) => state !== "ok").length).toBeGreaterThan(7);
  });
});
