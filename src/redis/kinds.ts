import type { Kind } from "../protocol/commands.js";
import { ephemeralKind } from "./ephemeral.js";
import { jobKind } from "./job.js";
import { mutexKind } from "./mutex.js";
import { queueKind } from "./queue.js";
import { ratelimitKind } from "./ratelimit.js";
import { registryKind } from "./registry.js";
import { schedulerKind } from "./scheduler.js";
import type { RedisKind, Script } from "./script.js";
import { topicKind } from "./topic.js";

const kinds: { readonly [K in Kind]: RedisKind<K> } = {
  ratelimit: ratelimitKind,
  mutex: mutexKind,
  queue: queueKind,
  topic: topicKind,
  job: jobKind,
  scheduler: schedulerKind,
  registry: registryKind,
  ephemeral: ephemeralKind,
};

export function kindOf<K extends Kind>(kind: K): RedisKind<K> {
  return kinds[kind] as unknown as RedisKind<K>;
}

/** Scripts of no kind in particular. */
export const COMMON = ["instance-open", "instance-unwait", "instance-renew", "instance-clock"];

const luaOf = ({ lua, plain }: Script): string[] => (plain ? [lua, plain.lua] : [lua]);

export function scriptNamesOf(kind: Kind): string[] {
  const { scripts, steps = {}, sweep, goodbye } = kinds[kind];
  const named = [...Object.values<object>(scripts), ...Object.values(steps)];
  const commands = named.flatMap((script) => ("lua" in script ? luaOf(script as Script) : []));
  return [...commands, ...(sweep ? [sweep] : []), ...(goodbye ? [goodbye] : [])];
}

/** All that there are. */
export function scriptNames(): string[] {
  return [...COMMON, ...Object.keys(kinds).flatMap((kind) => scriptNamesOf(kind as Kind))];
}
