import type { LockHolder, LockMode } from "../protocol/commands.js";
import { fieldOf, textOf } from "./fields.js";
import { type RedisKind, asIs, asNull } from "./script.js";

type RawHolder = [value: string, token: number, shared: number, told: number, by: string];
type RawLock = [
  resource: string,
  value: string,
  token: number,
  shared: number,
  expiresAt: number,
  ttlMs: number,
  by: string,
];

/**
 * Ends are told by the clock of the process that holds, from before the round trip: what it believes of its lock ends
 * before the lock does, wherever the server's clock stands.
 */
export const mutexKind: RedisKind<"mutex"> = {
  settings: () => ({}),
  sweep: "mutex-sweep",
  unwait: "mutex-unwait",
  goodbye: "mutex-goodbye",
  steps: { peek: { lua: "mutex-peek" }, unwait: { lua: "mutex-unwait" } },
  scripts: {
    "mutex.acquire": {
      lua: "mutex-acquire",
      unordered: true,
      many: true,
      args: ({ resource, value, ttlMs, mode }, { waitMs, owner, callId }) => [
        fieldOf(resource),
        value,
        ttlMs,
        shared(mode),
        waitMs,
        owner,
        callId,
        Date.now(),
      ],
      reply: ([token, expiresAt]: [number, number]) => ({ token, expiresAt }),
      none: () => null,
      // The release calls the one whose turn it is.
      lane: ({ value }) => value,
    },
    "mutex.release": {
      lua: "mutex-release",
      unordered: true,
      many: true,
      args: ({ resource, value }) => [fieldOf(resource), value],
      reply: asNull,
    },
    "mutex.extend": {
      lua: "mutex-extend",
      unordered: true,
      many: true,
      args: ({ resource, value, ttlMs }) => [fieldOf(resource), value, ttlMs, Date.now()],
      reply: asIs,
    },
    "mutex.assert": {
      lua: "mutex-assert",
      args: ({ locks }, { owner }) => [
        owner,
        Date.now(),
        ...locks.flatMap(({ resource, value, token, mode, ttlMs }) => [
          fieldOf(resource),
          value,
          token,
          shared(mode),
          ttlMs,
        ]),
      ],
      reply: asIs,
    },
    "mutex.query": {
      lua: "mutex-query",
      args: ({ resource }) => [fieldOf(resource)],
      reply: ([holders, waiting]: [RawHolder[], number]) => ({ holders: holders.map(holderOf), waiting }),
    },
    "mutex.stats": {
      lua: "mutex-stats",
      args: () => [],
      reply: ([held, resources, waiters]: [number, number, number]) => ({ held, resources, waiters }),
    },
  },
  peek: async (_port, limit, _spec, look) => ((await look("mutex-peek", [limit])) as RawLock[]).map(lockOf),
};

const shared = (mode: LockMode): number => (mode === "shared" ? 1 : 0);
const modeOf = (isShared: number): LockMode => (isShared === 1 ? "shared" : "exclusive");

function holderOf([value, token, isShared, expiration, by]: RawHolder): LockHolder {
  return { value, token, mode: modeOf(isShared), expiration, by };
}

function lockOf([field, value, token, isShared, expiresAt, ttlMs, by]: RawLock): object {
  return { resource: textOf(field), value, token, mode: modeOf(isShared), expiresAt, ttlMs, by };
}
