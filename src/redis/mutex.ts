import type { RedisKind } from "./script.js";

export const mutexKind: RedisKind<"mutex"> | undefined = undefined;
