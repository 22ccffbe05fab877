import type { Facts, NodeFacts } from "./facts.js";
import { plural } from "./terminal.js";

/** What doctor thinks of one thing. wrong: tabloom does not work as it says. risk: it does, and something may be lost. */
export interface Finding {
  readonly name: string;
  readonly state: "ok" | "risk" | "wrong";
  readonly found: string;
  readonly atRisk?: string;
  readonly todo?: string;
}

type Verdict = Omit<Finding, "name">;
type Judge = (node: NodeFacts, facts: Facts) => Verdict | undefined;

const OLDEST = [6, 2];
const SLOTS = 16_384;
const ALMOST_FULL = 0.9;
const SKEW_RISK_MS = 1000;
const SKEW_WRONG_MS = 60_000;

/** Of each master. Where they differ, each is told. */
const nodeJudges: Readonly<Record<string, Judge>> = {
  version,
  role,
  eviction,
  memory,
  persistence,
  replicas,
  clock,
};

export function judge(facts: Facts): Finding[] {
  return [
    ...Object.entries(nodeJudges).flatMap(([name, of]) => onEach(name, of, facts)),
    ...clusterFindings(facts),
    scripts(facts),
    pubsub(facts),
    permissions(facts),
  ];
}

function onEach(name: string, of: Judge, facts: Facts): Finding[] {
  const verdicts = facts.nodes.map((node) => ({ node, verdict: of(node, facts) }));
  const told = verdicts.filter((one): one is { node: NodeFacts; verdict: Verdict } => one.verdict !== undefined);
  const [first] = told;
  if (first === undefined) return [];
  const same = told.every(
    ({ verdict }) => verdict.found === first.verdict.found && verdict.state === first.verdict.state,
  );
  if (same) return [{ name, ...first.verdict }];
  return told.map(({ node, verdict }) => ({ name, ...verdict, found: `${node.address}: ${verdict.found}` }));
}

function version({ info }: NodeFacts): Verdict {
  const told = info["redis_version"];
  if (told === undefined) {
    return {
      state: "risk",
      found: "the server does not tell",
      todo: "let this user run INFO, or look at the server: Redis 6.2 or later",
    };
  }
  const [major = 0, minor = 0] = told.split(".").map(Number);
  const valkey = info["valkey_version"];
  const found = valkey ? `Valkey ${valkey} (Redis ${told})` : `Redis ${told}`;
  if (major > OLDEST[0]! || (major === OLDEST[0] && minor >= OLDEST[1]!)) return { state: "ok", found };
  return { state: "wrong", found, todo: `install Redis ${OLDEST.join(".")} or later, or Valkey` };
}

function role({ info }: NodeFacts): Verdict | undefined {
  if (info["role"] !== "slave") return undefined;
  const master = `${info["master_host"]}:${info["master_port"]}`;
  return {
    state: "wrong",
    found: `a replica of ${master}`,
    atRisk: "nothing: it refuses every call",
    todo: `connect to ${master}`,
  };
}

function eviction({ policy, info }: NodeFacts): Verdict {
  if (policy === "noeviction") return { state: "ok", found: policy };
  const todo = "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf";
  if (policy === undefined)
    return { state: "risk", found: "the server does not tell", todo: `see to it that maxmemory-policy is noeviction` };
  const limit = info["maxmemory"] === "0" ? "once it has a maxmemory" : "when it is full";
  return { state: "wrong", found: policy, atRisk: `messages, jobs and locks: the server deletes them ${limit}`, todo };
}

function memory({ info }: NodeFacts): Verdict | undefined {
  const [used, most] = [Number(info["used_memory"]), Number(info["maxmemory"])];
  if (!(most > 0)) return undefined;
  const found = `${Math.round((100 * used) / most)} % of maxmemory used`;
  if (used < ALMOST_FULL * most) return { state: "ok", found };
  return {
    state: "risk",
    found,
    atRisk: "new work: it is refused with QUOTA when memory is full",
    todo: "drain, or raise maxmemory",
  };
}

function persistence({ persistence: mode, info }: NodeFacts): Verdict {
  if (info["aof_last_write_status"] === "err" || info["rdb_last_bgsave_status"] === "err") {
    return {
      state: "wrong",
      found: "the server cannot write to its disk",
      atRisk: "what was written since it could; it may refuse further writes (STORAGE)",
      todo: "look into its log; free space, or repair the disk",
    };
  }
  switch (mode) {
    case "none":
      return nothingKept(Number(info["connected_slaves"] ?? 0));
    case "snapshots": {
      const changes = plural(Number(info["rdb_changes_since_last_save"] ?? 0), "change");
      const atRisk = `what was written since the last one, if the server dies, now ${changes}; ${TOKENS}`;
      return { state: "risk", found: `snapshots (save ${info["save"]})`, atRisk, todo: USE_AOF };
    }
    case undefined:
      return {
        state: "risk",
        found: "the server does not tell",
        todo: "let this user run CONFIG GET, or look up how your host keeps data",
      };
    default:
      return keptInAof[mode];
  }
}

const USE_AOF = "CONFIG SET appendonly yes, and the same in redis.conf";
/** What is at least the clock goes back only with the clock. */
const TOKENS = "with it the order of fencing tokens, if the clock is set back as well";

const keptInAof: Readonly<Record<"aof-always" | "aof-everysec" | "aof-no", Verdict>> = {
  "aof-always": {
    state: "ok",
    found: "append-only file, flushed before each answer",
    atRisk: "nothing that was answered",
  },
  "aof-everysec": {
    state: "ok",
    found: "append-only file, flushed every second",
    atRisk: "about the last second, if the machine loses power; nothing if only the server dies",
  },
  "aof-no": {
    state: "risk",
    found: "append-only file, flushed when the system likes",
    atRisk: "the last moments, if the machine loses power; nothing if only the server dies",
    todo: "CONFIG SET appendfsync everysec, and the same in redis.conf",
  },
};

function nothingKept(replicas: number): Verdict {
  if (replicas === 0) {
    return { state: "wrong", found: "none", atRisk: `everything, whenever the server ends; ${TOKENS}`, todo: USE_AOF };
  }
  const found = `none, but ${plural(replicas, "replica")}`;
  return { state: "risk", found, atRisk: `everything, if all of them end together; ${TOKENS}`, todo: USE_AOF };
}

function replicas({ info }: NodeFacts): Verdict | undefined {
  const count = Number(info["connected_slaves"] ?? 0);
  if (info["role"] === "slave") return undefined;
  if (count === 0) return { state: "ok", found: "none: while the server is away, calls wait, or reject with OFFLINE" };
  const late = Object.entries(info).filter(
    ([name, value]) => /^slave\d+$/.test(name) && !value?.includes("state=online"),
  );
  const atRisk = "the last moments before a failover: replicas are told after the answer";
  if (late.length > 0)
    return {
      state: "risk",
      found: `${count}, of which ${late.length} not in step`,
      atRisk,
      todo: "look into the replicas' logs",
    };
  return { state: "ok", found: String(count), atRisk };
}

function clock({ skewMs, withinMs }: NodeFacts): Verdict {
  const off = Math.max(0, Math.abs(skewMs) - withinMs);
  const found = `${skewMs >= 0 ? "+" : "−"}${Math.abs(skewMs)} ms against this machine, within ${withinMs} ms`;
  if (off <= SKEW_RISK_MS) return { state: "ok", found };
  const atRisk =
    "leases and locks keep to the server's clock; schedules fire by it, and times that you give or read are off by so much";
  return { state: off > SKEW_WRONG_MS ? "wrong" : "risk", found, atRisk, todo: "synchronise both clocks (NTP)" };
}

function clusterFindings({ cluster }: Facts): Finding[] {
  if (cluster === undefined) return [];
  const state = cluster["cluster_state"] ?? "unknown";
  const slots = Number(cluster["cluster_slots_ok"] ?? 0);
  const found = `${state}, ${plural(Number(cluster["cluster_size"] ?? 0), "master")}, ${slots} of ${SLOTS} slots served`;
  if (state === "ok" && slots === SLOTS) return [{ name: "cluster", state: "ok", found }];
  return [
    {
      name: "cluster",
      state: "wrong",
      found,
      atRisk: "calls to what lies in other slots: they wait, or reject with OFFLINE",
      todo: "redis-cli --cluster check <host>:<port>",
    },
  ];
}

function scripts({ scripts: { loaded, problem } }: Facts): Finding {
  if (problem === undefined) return { name: "scripts", state: "ok", found: `${loaded} loaded` };
  return {
    name: "scripts",
    state: "wrong",
    found: oneSentence(problem),
    todo: "allow SCRIPT LOAD and EVALSHA: tabloom does everything in scripts",
  };
}

function pubsub({ pubsub: { problem } }: Facts): Finding {
  if (problem === undefined) return { name: "pub/sub", state: "ok", found: "published and heard" };
  return {
    name: "pub/sub",
    state: "wrong",
    found: oneSentence(problem),
    atRisk: "time: who waits is served up to a second late, or later",
    todo: "allow SUBSCRIBE, PSUBSCRIBE and PUBLISH; a proxy must pass them on",
  };
}

function permissions({ denied, user, prefix }: Facts): Finding {
  const who = user === undefined ? "this user" : `user ${user}`;
  if (denied.length === 0) return { name: "permissions", state: "ok", found: `${who} may do all that is needed` };
  const todo = [
    `ACL SETUSER ${user ?? "<user>"}`,
    denied.includes("keys") ? ` ~${prefix}:*` : "",
    denied.includes("channels") ? ` &${prefix}:*` : "",
    ...denied
      .filter((what) => what !== "keys" && what !== "channels")
      .map((command) => ` +${command.toLowerCase().replace(" ", "|")}`),
  ].join("");
  return {
    name: "permissions",
    state: "wrong",
    found: `${who} may not: ${denied.map((what) => nameOf(what, prefix)).join(", ")}`,
    todo,
  };
}

function nameOf(what: string, prefix: string): string {
  return what === "keys" || what === "channels" ? `${what} ${prefix}:*` : what;
}

const oneSentence = (text: string): string => text.split("\n")[0]!;
