import { randomText } from "../protocol/ids.js";
import type { Redis } from "../redis/client.js";
import { isWhole } from "../redis/connect-once.js";
import { scriptNames } from "../redis/kinds.js";
import { scriptSource } from "../redis/script-source.js";
import type { Raw } from "../redis/script.js";
import { persistenceOf, readConfig, readInfo } from "../redis/server-info.js";
import type { BackendStatus } from "../client/backend.js";
import type { Place } from "./place.js";
import probe from "./probe.lua?raw";

/** One master. */
export interface NodeFacts {
  readonly address: string;
  readonly info: Readonly<Record<string, string | undefined>>;
  readonly policy: string | undefined;
  readonly persistence: BackendStatus["persistence"];
  /** How far its clock is ahead of this machine's, and how exactly that is known. */
  readonly skewMs: number;
  readonly withinMs: number;
}

export interface Facts {
  readonly prefix: string;
  readonly nodes: readonly NodeFacts[];
  readonly cluster: Readonly<Record<string, string | undefined>> | undefined;
  /** Undefined where the server does not tell. */
  readonly user: string | undefined;
  readonly scripts: { readonly loaded: number; readonly problem?: string };
  readonly pubsub: { readonly problem?: string };
  /** What this user may not do: commands, "keys", "channels". */
  readonly denied: readonly string[];
}

const HEARD_WITHIN_MS = 2000;
const DENIED = /NOPERM|ACL failure|can't run this command|can't access|No permissions/;

/** Commands that are sent as they are, besides SUBSCRIBE and those that load and run scripts. */
const PLAIN = ["GET", "HSET", "HKEYS", "HMGET", "HDEL"];

/** Asks the server everything that findings.ts judges by. Writes one key below the prefix, and takes it away again. */
export async function gatherFacts(place: Place): Promise<Facts> {
  const { connection, prefix } = place;
  // Of one that is not whole this node tells what it knows.
  const cluster = place.cluster && (await isWhole(place.cluster)) ? place.cluster : undefined;
  const masters = cluster ? cluster.nodes("master") : [connection];
  const nodes = await Promise.all(masters.map(nodeFacts));
  const asked = cluster ?? connection;
  const denied = new Set<string>();
  const scratch = `${prefix}:{doctor:${randomText(8)}}`;
  const ask = async (command: string, ...args: string[]): Promise<Raw> => {
    try {
      return (await asked.call(command, ...args)) as Raw;
    } catch (error) {
      const { message } = error as Error;
      // What it refuses to everybody (a replica, a full one) is judged by what it says of itself.
      if (DENIED.test(message)) denied.add(/key/.test(message) && !/command/.test(message) ? "keys" : command);
      return null;
    }
  };
  /** What clients of a cluster ask each of its nodes. */
  const askCluster = (part: string): Promise<unknown> =>
    connection.call("CLUSTER", part).catch(({ message }: Error) => {
      if (DENIED.test(message)) denied.add(`CLUSTER ${part}`);
    });
  const scripts = await tryScripts(masters as Redis[], asked as Redis, scratch, denied);
  for (const command of PLAIN) await ask(command, scratch, ...(ARGUMENTS[command] ?? []));
  await ask("DEL", scratch);
  const pubsub = await tryPubSub(connection, asked as Redis, `${prefix}:{doctor}`, denied);
  if (place.cluster) await askCluster("SLOTS");
  return {
    prefix,
    nodes,
    cluster: place.cluster ? fieldsOf(await askCluster("INFO")) : undefined,
    user: await connection.call("ACL", "WHOAMI").then(String, () => undefined),
    scripts,
    pubsub,
    denied: [...denied].sort(),
  };
}

/** Arguments that do nothing that lasts. */
const ARGUMENTS: Readonly<Record<string, readonly string[]>> = { HSET: ["f", "v"], HMGET: ["f"], HDEL: ["f"] };

async function nodeFacts(node: Redis): Promise<NodeFacts> {
  const info = await readInfo(node);
  const settings = await readConfig(node, ["maxmemory-policy", "appendfsync", "save"]);
  const before = Date.now();
  const time = (await node.call("TIME").catch(() => undefined)) as [string, string] | undefined;
  const after = Date.now();
  const at = time ? Number(time[0]) * 1000 + Number(time[1]) / 1000 : (before + after) / 2;
  return {
    address: `${node.options.host ?? ""}:${node.options.port ?? ""}`,
    info: { ...info, save: settings["save"] },
    policy: info["maxmemory_policy"] ?? settings["maxmemory-policy"],
    persistence: persistenceOf(info, settings),
    skewMs: Math.round(at - (before + after) / 2),
    withinMs: Math.ceil((after - before) / 2) + 1,
  };
}

/** Every script is loaded, and every command that one of them runs is tried. */
async function tryScripts(
  masters: readonly Redis[],
  asked: Redis,
  scratch: string,
  denied: Set<string>,
): Promise<Facts["scripts"]> {
  const sources = [...new Set(scriptNames())].map(scriptSource);
  const commands = [...new Set(sources.flatMap(({ text }) => commandsIn(text)))].sort();
  try {
    for (const node of masters) await Promise.all(sources.map(({ text }) => node.call("SCRIPT", "LOAD", text)));
    const [sha] = await Promise.all(masters.map((node) => node.call("SCRIPT", "LOAD", probe) as Promise<string>));
    const arities = await aritiesOf(asked, commands);
    const known = commands.filter((command) => arities.size === 0 || arities.has(command));
    const args = known.flatMap((command) => [command, arities.get(command) ?? 2]);
    const refused = (await asked.evalsha(sha!, 1, scratch, ...args)) as string[];
    for (const command of refused) denied.add(command);
    return { loaded: sources.length };
  } catch (error) {
    const { message } = error as Error;
    if (DENIED.test(message)) {
      if (/'?evalsha/i.test(message)) denied.add("EVALSHA");
      else if (/'?script/i.test(message)) denied.add("SCRIPT LOAD");
      else if (/key/.test(message)) denied.add("keys");
    }
    return { loaded: 0, problem: message };
  }
}

/** The names of commands, also of those that go through a function; and what else in capitals begins a call. */
export function commandsIn(lua: string): string[] {
  return [...lua.matchAll(/\w\("([A-Z]+)"/g)].map(([, command]) => command!);
}

/** How many words a call of each has at least, its name among them. */
async function aritiesOf(asked: Redis, commands: readonly string[]): Promise<Map<string, number>> {
  const told = (await asked.call("COMMAND", "INFO", ...commands).catch(() => [])) as ([string, number] | null)[];
  return new Map(told.filter((one) => one !== null).map(([name, arity]) => [name.toUpperCase(), Math.abs(arity)]));
}

async function tryPubSub(
  connection: Redis,
  asked: Redis,
  channel: string,
  denied: Set<string>,
): Promise<Facts["pubsub"]> {
  const subscriber = connection.duplicate();
  subscriber.on("error", () => {});
  let timer: ReturnType<typeof setTimeout> | undefined;
  let doing = "SUBSCRIBE";
  try {
    const text = randomText(8);
    const heard = new Promise<void>((resolve, reject) => {
      subscriber.on("message", (_, said: string) => said === text && resolve());
      timer = setTimeout(() => reject(new Error("what was published did not arrive")), HEARD_WITHIN_MS);
    });
    heard.catch(() => {});
    await subscriber.connect();
    await subscriber.subscribe(channel);
    doing = "PSUBSCRIBE";
    // The trace follows a pattern; who may hear the channels of the prefix may hear it.
    await subscriber.psubscribe(`${channel.slice(0, channel.indexOf("{"))}*`);
    doing = "PUBLISH";
    await asked.publish(channel, text);
    await heard;
    return {};
  } catch (error) {
    const { message } = error as Error;
    if (DENIED.test(message)) denied.add(/channel/.test(message) ? "channels" : doing);
    return { problem: message };
  } finally {
    clearTimeout(timer);
    subscriber.disconnect();
  }
}

function fieldsOf(text: unknown): Record<string, string> {
  return Object.fromEntries(
    String(text)
      .split(/\r?\n/)
      .map((line) => line.split(":") as [string, string])
      .filter(([, value]) => value !== undefined),
  );
}
