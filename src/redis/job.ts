import type { RedisKind } from "./script.js";

export const jobKind: RedisKind<"job"> | undefined = undefined;
