import type { RateLimitResult } from "../protocol/commands.js";
import { fieldOf, textOf } from "./fields.js";
import { type RedisKind, asNull } from "./script.js";

type RawResult = [limited: number, remaining: string, resetIn: string];

export const ratelimitKind: RedisKind<"ratelimit"> = {
  settings: ({ limit, windowMs, algorithm }) => ({ limit, windowMs, algorithm }),
  steps: { peek: { lua: "ratelimit-peek" } },
  scripts: {
    "ratelimit.check": {
      lua: "ratelimit-check",
      unordered: true,
      many: true,
      args: ({ identifier, cost }) => [fieldOf(identifier), cost],
      reply: resultOf,
      repeatable: ({ cost }) => cost === 0,
    },
    "ratelimit.reset": { lua: "ratelimit-reset", args: ({ identifier }) => [fieldOf(identifier)], reply: asNull },
    "ratelimit.stats": {
      lua: "ratelimit-stats",
      args: () => [],
      reply: (identifiers: number) => ({ identifiers }),
    },
  },
  peek: async (_port, limit, _spec, look) =>
    ((await look("ratelimit-peek", [limit])) as [string, RawResult][]).map(([field, raw]) => ({
      identifier: textOf(field),
      ...resultOf(raw),
    })),
};

/** Lua writes numbers beyond all bounds as "inf". */
function resultOf([limited, remaining, resetIn]: RawResult): RateLimitResult {
  return { limited: limited === 1, remaining: numberOf(remaining), resetIn: numberOf(resetIn) };
}

const numberOf = (text: string): number => (text === "inf" ? Infinity : Number(text));
