import type { RedisKind } from "./script.js";

export const ephemeralKind: RedisKind<"ephemeral"> | undefined = undefined;
