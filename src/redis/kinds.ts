import type { Kind } from "../protocol/commands.js";
import { TabloomError } from "../protocol/errors.js";
import { ephemeralKind } from "./ephemeral.js";
import { jobKind } from "./job.js";
import { mutexKind } from "./mutex.js";
import { queueKind } from "./queue.js";
import { ratelimitKind } from "./ratelimit.js";
import { registryKind } from "./registry.js";
import { schedulerKind } from "./scheduler.js";
import type { RedisKind, Script } from "./script.js";
import { topicKind } from "./topic.js";

const kinds: { readonly [K in Kind]: RedisKind<K> | undefined } = {
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
  const found = kinds[kind];
  if (found === undefined) throw new TabloomError("UNAVAILABLE", `${kind} is not built on Redis yet`);
  return found as unknown as RedisKind<K>;
}

/** Scripts of no kind in particular. */
const COMMON = ["instance-open", "instance-unwait", "instance-renew", "instance-clock"];

const luaOf = ({ lua, plain }: Script): string[] => (plain ? [lua, plain.lua] : [lua]);

export function scriptNames(): string[] {
  const own = Object.values(kinds).flatMap((kind) => {
    if (kind === undefined) return [];
    const { scripts, steps = {}, sweep, goodbye } = kind;
    const named = [...Object.values<object>(scripts), ...Object.values(steps)];
    const commands = named.flatMap((script) => ("lua" in script ? luaOf(script as Script) : []));
    return [...commands, ...(sweep ? [sweep] : []), ...(goodbye ? [goodbye] : [])];
  });
  return [...COMMON, ...own];
}
