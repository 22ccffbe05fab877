import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import type { Finding } from "../../src/cli/findings.js";
import { commandsIn } from "../../src/cli/facts.js";
import { createRedisBackend } from "../../src/redis/backend.js";
import { clusterAt } from "../../src/redis/connect-once.js";
import { scriptNames } from "../../src/redis/kinds.js";
import { scriptSource } from "../../src/redis/script-source.js";
import { queue } from "../../src/server.js";
import { type Server, freePort, startCluster, startServer, until } from "../redis/server.js";
import { isOneLine, tabloom } from "./running.js";

interface Report {
  ok: boolean;
  findings: Finding[];
}

async function doctor(url: string, ...more: string[]): Promise<{ code: number } & Report> {
  const { code, out } = await tabloom("doctor", "--redis", url, "--json", ...more);
  return { code, ...(JSON.parse(out) as Report) };
}

const states = ({ findings }: Report): Record<string, string> =>
  Object.fromEntries(findings.map(({ name, state }) => [name, state]));

async function withServer(options: Parameters<typeof startServer>[0], work: (server: Server) => Promise<void>) {
  const server = await startServer(options);
  try {
    await work(server);
  } finally {
    await server.stop();
  }
}

describe("doctor", () => {
  let good: Server;
  beforeAll(async () => {
    good = await startServer({ aof: "everysec" });
  });
  afterAll(() => good.stop());

  test("has nothing to say against a server that keeps everything", async () => {
    const { code, out, err } = await tabloom("doctor", "--redis", good.url);
    expect(err).toBe("");
    expect(out).toContain("0 wrong, 0 at risk");
    expect(out).toMatch(/ok +eviction +noeviction/);
    expect(out).toMatch(/at risk: about the last second, if the machine loses power/);
    expect(code).toBe(0);
  });

  test("leaves nothing behind", async () => {
    await doctor(good.url, "--prefix", "tidy");
    expect(await good.ask("KEYS", "tidy*")).toEqual([]);
  });

  test("says the same as JSON", async () => {
    const report = await doctor(good.url);
    expect(report).toMatchObject({ code: 0, ok: true });
    expect(states(report)).toEqual({
      version: "ok",
      eviction: "ok",
      persistence: "ok",
      replicas: "ok",
      clock: "ok",
      scripts: "ok",
      "pub/sub": "ok",
      permissions: "ok",
    });
  });

  test("does not show the password", async () => {
    await withServer({ aof: "always" }, async ({ port, ask }) => {
      await ask("CONFIG", "SET", "requirepass", "s3cret");
      const { code, out } = await tabloom("doctor", "--redis", `redis://default:s3cret@127.0.0.1:${port}`);
      expect(code).toBe(0);
      expect(out).not.toContain("s3cret");
    });
  });

  test("a server that may delete keys is wrong, and so is one that keeps nothing", async () => {
    await withServer({ settings: { "maxmemory-policy": "allkeys-lru", maxmemory: "100mb" } }, async ({ url }) => {
      const report = await doctor(url);
      expect(report).toMatchObject({ code: 1, ok: false });
      expect(states(report)).toMatchObject({ eviction: "wrong", persistence: "wrong", memory: "ok" });
      const eviction = report.findings.find(({ name }) => name === "eviction")!;
      expect(eviction.found).toBe("allkeys-lru");
      expect(eviction.todo).toContain("CONFIG SET maxmemory-policy noeviction");
    });
  });

  test("snapshots are a risk, with what is not in one yet", async () => {
    await withServer({ settings: { save: "3600 1" } }, async (server) => {
      await server.ask("SET", "other", "x");
      const report = await doctor(server.url);
      expect(report.code).toBe(0);
      expect(states(report)["persistence"]).toBe("risk");
      expect(report.findings.find(({ name }) => name === "persistence")!.atRisk).toMatch(/, now \d+ changes?;/);
    });
  });

  test("a replica is wrong, and its master knows of it", async () => {
    await withServer({ replicaOf: good }, async ({ url }) => {
      const report = await doctor(url);
      expect(report.code).toBe(1);
      const role = report.findings.find(({ name }) => name === "role");
      expect(role).toMatchObject({ state: "wrong", todo: `connect to 127.0.0.1:${good.port}` });
    });
  });

  test("a cluster is looked at as a whole", { timeout: 60_000 }, async () => {
    const cluster = await startCluster({ aof: "everysec" });
    try {
      const report = await doctor(cluster.masters[1]!.url);
      expect(states(report)).toMatchObject({ cluster: "ok", scripts: "ok", "pub/sub": "ok", permissions: "ok" });
      expect(report.findings.find(({ name }) => name === "cluster")!.found).toBe(
        "ok, 3 masters, 16384 of 16384 slots served",
      );
      await cluster.masters[2]!.ask("CONFIG", "SET", "maxmemory-policy", "volatile-ttl");
      const eviction = (await doctor(cluster.masters[0]!.url)).findings.filter(({ name }) => name === "eviction");
      expect(eviction.map(({ state }) => state).sort()).toEqual(["ok", "ok", "wrong"]);
      expect(eviction.find(({ state }) => state === "wrong")!.found).toContain(String(cluster.masters[2]!.port));

      const backend = createRedisBackend({ redis: await clusterAt(cluster.masters[0]!.url), prefix: "shop" });
      await queue({ id: "mail", schema: z.string(), backend }).send({ data: "hello" });
      await backend.close();
      const { out } = await tabloom("inspect", "--redis", cluster.masters[2]!.url, "--prefix", "shop");
      expect(out).toMatch(/queue +mail +default +depth 1, ready 1/);

      const { masters } = cluster;
      await masters[0]!.ask("ACL", "SETUSER", "app", "on", ">pw", "~tabloom:*", "&tabloom:*", "-@all", ...DOCUMENTED);
      const refused = await doctor(`redis://app:pw@127.0.0.1:${masters[0]!.port}`);
      expect(refused.findings.find(({ name }) => name === "permissions")).toMatchObject({
        found: "this user may not: CLUSTER INFO, CLUSTER SLOTS",
        todo: "ACL SETUSER <user> +cluster|info +cluster|slots",
      });

      await masters[1]!.kill();
      await until("the others see it", async () =>
        String(await masters[0]!.ask("CLUSTER", "INFO")).includes("cluster_state:fail"),
      );
      const broken = await doctor(masters[0]!.url);
      expect(broken.code).toBe(1);
      expect(broken.findings.find(({ name }) => name === "cluster")).toMatchObject({
        state: "wrong",
        found: expect.stringMatching(/^fail, 3 masters, 1\d{4} of 16384 slots served$/),
      });
    } finally {
      await cluster.stop();
    }
  });

  describe("trouble is one line that says what to do", () => {
    const trouble = async (url: string): Promise<string> => {
      const { code, out, err } = await tabloom("doctor", "--redis", url);
      expect(out).toBe("");
      expect(code).toBe(1);
      expect(err).toSatisfy(isOneLine);
      return err;
    };

    test("no server", async () => {
      const url = `redis://127.0.0.1:${await freePort()}`;
      expect(await trouble(url)).toContain(`no server answers at ${url} (ECONNREFUSED): start one`);
      expect(await doctor(url)).toMatchObject({ code: 1, ok: false, error: { code: "OFFLINE" } });
    });

    test("no such host", async () => {
      expect(await trouble("redis://no-such-host.invalid")).toContain("there is no host of that name");
    });

    test("no password, and a wrong one", async () => {
      await withServer({}, async ({ url, port, ask }) => {
        await ask("CONFIG", "SET", "requirepass", "s3cret");
        expect(await trouble(url)).toContain("wants a password");
        const wrong = await trouble(`redis://:wr0ng@127.0.0.1:${port}`);
        expect(wrong).toContain("knows no such user and password");
        expect(wrong).not.toContain("wr0ng");
      });
    });

    test("a database that there is not", async () => {
      expect(await trouble(`${good.url}/99`)).toContain("has no database of that number");
    });

    test("no URL at all", async () => {
      expect(await trouble("localhost:6379")).toContain("is not a Redis URL");
    });
  });

  describe("names what a user may not do", () => {
    const asUser = async (...rules: string[]): Promise<{ code: number } & Report> => {
      await good.ask("ACL", "SETUSER", "app", "reset", "on", ">pw", ...rules);
      return doctor(`redis://app:pw@127.0.0.1:${good.port}`);
    };
    const permissions = ({ findings }: Report): Finding => findings.find(({ name }) => name === "permissions")!;

    test("commands that scripts run", async () => {
      const report = await asUser("~*", "&*", "+@all", "-zadd", "-hset");
      expect(report.code).toBe(1);
      expect(permissions(report)).toMatchObject({
        state: "wrong",
        found: "user app may not: HSET, ZADD",
        todo: "ACL SETUSER app +hset +zadd",
      });
    });

    test("scripts themselves", async () => {
      const report = await asUser("~*", "&*", "+@all", "-evalsha");
      expect(states(report)).toMatchObject({ scripts: "wrong" });
      expect(permissions(report).found).toBe("user app may not: EVALSHA");
    });

    test("keys and channels of the prefix", async () => {
      const report = await asUser("~other:*", "resetchannels", "&other:*", "+@all");
      expect(states(report)).toMatchObject({ "pub/sub": "wrong" });
      expect(permissions(report)).toMatchObject({
        found: "user app may not: channels tabloom:*, keys tabloom:*",
        todo: "ACL SETUSER app ~tabloom:* &tabloom:*",
      });
    });

    test("a user with what docs/server.md lists may do all", async () => {
      const commands = [...new Set(scriptNames().flatMap((name) => commandsIn(scriptSource(name).text)))];
      expect(commands.length).toBeGreaterThan(10);
      const report = await asUser("~tabloom:*", "&tabloom:*", "-@all", ...DOCUMENTED);
      expect(permissions(report).state).toBe("ok");
      expect(report.ok).toBe(true);
    });
  });
});

/** As in docs/server.md. */
const DOCUMENTED = "+@read +@write +@pubsub +@scripting +@connection +info +time +config|get +command".split(" ");
