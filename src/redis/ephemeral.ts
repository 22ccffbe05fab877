import { endOf, logScripts, pageOf, quoted, recordOrNull, stampOf } from "./entries.js";
import { type RedisKind, asBoolean, asIs, asNull } from "./script.js";

const { anchor, read } = logScripts("ephemeral");

export const ephemeralKind: RedisKind<"ephemeral"> = {
  settings: (config) => ({ ...config }),
  sweep: "ephemeral-sweep",
  goodbye: "ephemeral-goodbye",
  scripts: {
    "ephemeral.upsert": {
      lua: "ephemeral-upsert",
      many: true,
      args: ({ key, value, bytes, ttlMs, handle }, { owner }) => [
        key,
        quoted(value),
        bytes,
        ttlMs,
        quoted(handle),
        owner,
      ],
      reply: stampOf,
      holds: true,
    },
    "ephemeral.touch": {
      lua: "ephemeral-touch",
      unordered: true,
      many: true,
      args: ({ key, ttlMs }) => [key, ttlMs],
      reply: endOf,
    },
    "ephemeral.remove": {
      lua: "ephemeral-remove",
      many: true,
      args: ({ key, reason }) => [key, quoted(reason)],
      reply: asBoolean,
    },
    "ephemeral.get": {
      lua: "ephemeral-get",
      unordered: true,
      many: true,
      args: ({ key }) => [key],
      reply: recordOrNull,
    },
    "ephemeral.snapshot": { lua: "ephemeral-snapshot", args: ({ prefix = "" }) => [prefix], reply: pageOf },
    "ephemeral.unbind": {
      lua: "ephemeral-unbind",
      args: ({ handle }, { owner }) => [owner, quoted(handle)],
      reply: asNull,
    },
    "ephemeral.assert": {
      lua: "ephemeral-assert",
      args: ({ handle, entries }, { owner }) => [
        owner,
        quoted(handle),
        ...entries.flatMap(({ key, value, ttlMs, createdAt, version }) => [
          key,
          quoted(value),
          ttlMs,
          createdAt,
          version,
        ]),
      ],
      reply: asIs,
      holds: true,
    },
    "ephemeral.anchor": anchor,
    "ephemeral.read": read,
    "ephemeral.stats": {
      lua: "ephemeral-stats",
      args: () => [],
      reply: ([entries, events, cursor]: [number, number, string]) => ({ entries, events, cursor }),
    },
  },
  peek: async (port, limit) => (await port.call("ephemeral.snapshot", {})).entries.slice(0, limit),
};
