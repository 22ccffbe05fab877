import type { RedisKind } from "./script.js";

export const ratelimitKind: RedisKind<"ratelimit"> | undefined = undefined;
