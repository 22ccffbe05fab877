import type { RegistryConflict, RegistryOperation, RegistryTransacted, RegistryWrite } from "../protocol/commands.js";
import {
  type RawPage,
  endOf,
  logScripts,
  pageOf,
  quoted,
  recordOf,
  recordOrNull,
  stampOf,
  stampOrNull,
} from "./entries.js";
import { type Argument, type RedisKind, asBoolean } from "./script.js";

const { anchor, read } = logScripts("registry");

type RawTransacted = [1, (string | null)[]] | [0, number, RegistryConflict];

export const registryKind: RedisKind<"registry"> = {
  settings: (config) => ({ ...config }),
  sweep: "registry-sweep",
  scripts: {
    "registry.upsert": { lua: "registry-upsert", many: true, args: writeArgs, reply: stampOf },
    "registry.create": {
      lua: "registry-create",
      many: true,
      args: writeArgs,
      reply: ([made, text]: [number, string], { key }) =>
        made === 1 ? { ok: true, stamp: stampOf(text) } : { ok: false, entry: recordOf(key, text) },
    },
    "registry.cas": {
      lua: "registry-cas",
      many: true,
      args: writeArgs,
      reply: stampOrNull,
    },
    "registry.touch": { lua: "registry-touch", unordered: true, many: true, args: ({ key }) => [key], reply: endOf },
    "registry.remove": {
      lua: "registry-remove",
      many: true,
      args: ({ key, reason }) => [key, quoted(reason)],
      reply: asBoolean,
    },
    "registry.transact": {
      lua: "registry-transact",
      args: ({ ops }) => ops.flatMap(operationArgs),
      reply: ([made, given, reason]: RawTransacted): RegistryTransacted =>
        made === 1 ? { ok: true, stamps: given.map(stampOrNull) } : { ok: false, index: given, reason },
    },
    "registry.get": {
      lua: "registry-get",
      unordered: true,
      many: true,
      args: ({ key, includeExpired }) => [key, includeExpired ? 1 : 0],
      reply: recordOrNull,
    },
    "registry.list": {
      lua: "registry-list",
      args: ({ status, prefix = "", afterKey = "", limit }) => [status, prefix, afterKey, limit],
      reply: (raw: RawPage) => ({ ...pageOf(raw), ...(raw[3] === null ? {} : { nextKey: raw[3] }) }),
    },
    "registry.anchor": anchor,
    "registry.read": read,
    "registry.stats": {
      lua: "registry-stats",
      args: () => [],
      reply: ([entries, events, cursor, tombstones]: [number, number, string, number]) => ({
        entries,
        tombstones,
        events,
        cursor,
      }),
    },
  },
  peek: async (port, limit) => (await port.call("registry.list", { status: "active", limit })).entries,
};

function writeArgs(write: RegistryWrite & { version?: string }): Argument[] {
  const { key, value, bytes, ttlMs = "", meta, version = "" } = write;
  return [key, quoted(value), bytes, ttlMs, quoted(meta), version];
}

function operationArgs(step: RegistryOperation): Argument[] {
  if (step.op !== "remove") return [step.op, ...writeArgs(step)];
  return [step.op, step.key, quoted(step.reason), 0, "", "", ""];
}
