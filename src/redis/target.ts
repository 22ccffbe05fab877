import { TabloomError } from "../protocol/errors.js";
import type { RedisTarget } from "./client.js";

/** REDIS_URL, or the address where a server usually is. */
export const defaultTarget = (): string => process.env["REDIS_URL"] || "redis://127.0.0.1:6379";

export function checkedTarget(target: unknown): RedisTarget {
  if (typeof target === "string") {
    if (/^(rediss?|unix):\/\//.test(target) || target.startsWith("/")) return target;
    // Not shown: there may be a password in it.
    throw new TabloomError("VALIDATION", "the address is not a Redis URL, such as redis://127.0.0.1:6379");
  }
  if (typeof target === "object" && target !== null) return target as RedisTarget;
  throw new TabloomError("VALIDATION", "redis must be a URL, the options of ioredis, or a client of it");
}
