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
const COMMON = ["instance-open", "instance-unwait", "instance-renew", "instance-clock"];

const luaOf = ({ lua, plain }: Script): string[] => (plain ? [lua, plain.lua] : [lua]);

export function scriptNames(): string[] {
  const own = Object.values(kinds).flatMap(({ scripts, steps = {}, sweep, goodbye }) => {
    const named = [...Object.values<object>(scripts), ...Object.values(steps)];
    const commands = named.flatMap((script) => ("lua" in script ? luaOf(script as Script) : []));
    return [...commands, ...(sweep ? [sweep] : []), ...(goodbye ? [goodbye] : [])];
  });
  return [...COMMON, ...own];
}
