/**
 * Looks over a server's shoulder: which keys scripts touch, and whether each was among the KEYS they were given. A cluster
 * does not say: it takes undeclared keys silently where they happen to be on the same node.
 */
import { createHash } from "node:crypto";
import { Redis } from "ioredis";
import { scriptNames } from "../../src/redis/kinds.js";
import { scriptSource } from "../../src/redis/script-source.js";
import { type Server, until } from "./server.js";

export interface KeyWatch {
  /** What was wrong so far, each once. */
  faults(): Promise<string[]>;
  /** Scripts that ran so far. */
  seen(): Promise<string[]>;
  stop(): void;
}

/**
 * Scripts that no conformance case has to run: every 3 s of a process that holds something, when data is lost, when a
 * reply is late, when somebody looks on. test/redis/keys.test.ts does.
 */
export const RARE = new Set([
  "instance-renew",
  "ephemeral-assert",
  "mutex-assert",
  "mutex-peek",
  "ratelimit-peek",
  "topic-release",
]);

/** Redis' own answer to which arguments of a command are keys: the first, the last, and how many lie between. */
interface KeyPlaces {
  first: number;
  last: number;
  step: number;
}

/** Commands without keys that scripts may use. A channel is no key; its name must be the instance's all the same. */
const KEYLESS = new Set(["TIME", "PUBLISH"]);

export async function watchKeys(server: Server): Promise<KeyWatch> {
  // Scripts of several kinds may be the same text.
  const names = new Map<string, string[]>();
  for (const name of scriptNames()) {
    const sha = createHash("sha1").update(scriptSource(name).text).digest("hex");
    names.set(sha, [...(names.get(sha) ?? []), name]);
  }
  const places = await keyPlaces(server);
  const faults = new Set<string>();
  const seen = new Set<string>();
  const marks = new Set<string>();
  let running = { name: "no script", keys: [] as string[] };

  const begin = (args: readonly string[]): void => {
    const keys = args.slice(3, 3 + Number(args[2]));
    const known = names.get(args[1]!) ?? [`script ${args[1]}`];
    const name = known.join(" or ");
    running = { name, keys };
    for (const one of known) seen.add(one);
    const tags = new Set(keys.map(tagOf));
    if (tags.size !== 1 || tags.has("")) faults.add(`${name} is given keys of several instances: ${keys.join(" ")}`);
  };
  const touch = ([command, ...args]: readonly string[]): void => {
    const name = command!.toUpperCase();
    if (name === "PUBLISH" && tagOf(args[0]!) !== tagOf(running.keys[0]!)) {
      faults.add(`${running.name} publishes on ${args[0]}`);
    }
    if (KEYLESS.has(name)) return;
    const touched = keysOf(places.get(name), args);
    if (touched === undefined) faults.add(`${running.name} calls ${name}, whose keys are not known`);
    for (const key of touched ?? []) {
      if (!running.keys.includes(key)) faults.add(`${running.name} touches ${key} with ${name}, not among its KEYS`);
    }
  };

  const client = new Redis(server.url, { lazyConnect: true });
  await client.connect();
  const monitor = await client.monitor();
  monitor.on("monitor", (_time: string, args: string[], source: string) => {
    if (source === "lua") return touch(args);
    const command = args[0]!.toUpperCase();
    if (command === "EVALSHA") begin(args);
    if (command === "ECHO") marks.add(args[1]!);
  });
  const caughtUp = async (): Promise<void> => {
    const mark = `mark ${marks.size}`;
    await server.ask("ECHO", mark);
    await until("what ran was heard of", () => marks.has(mark));
  };
  return {
    async faults() {
      await caughtUp();
      return [...faults].sort();
    },
    async seen() {
      await caughtUp();
      return [...seen].sort();
    },
    stop() {
      monitor.disconnect();
      client.disconnect();
    },
  };
}

async function keyPlaces(server: Server): Promise<Map<string, KeyPlaces>> {
  const all = (await server.ask("COMMAND")) as [string, number, string[], number, number, number][];
  const places = new Map<string, KeyPlaces>();
  for (const [name, , flags, first, last, step] of all) {
    if (first > 0 && !flags.includes("movablekeys")) places.set(name.toUpperCase(), { first, last, step });
  }
  return places;
}

/** undefined: Redis itself does not know without looking closer. */
function keysOf(places: KeyPlaces | undefined, args: readonly string[]): string[] | undefined {
  if (places === undefined) return undefined;
  const last = places.last < 0 ? args.length + places.last : places.last - 1;
  const keys: string[] = [];
  for (let i = places.first - 1; i <= last; i += places.step) keys.push(args[i]!);
  return keys;
}

const tagOf = (name: string): string => /\{(.+?)\}/.exec(name)?.[1] ?? "";
