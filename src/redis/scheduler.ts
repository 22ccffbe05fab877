import type { RedisKind } from "./script.js";

export const schedulerKind: RedisKind<"scheduler"> | undefined = undefined;
