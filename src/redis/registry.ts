import type { RedisKind } from "./script.js";

export const registryKind: RedisKind<"registry"> | undefined = undefined;
