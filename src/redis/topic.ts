import type { RedisKind } from "./script.js";

export const topicKind: RedisKind<"topic"> | undefined = undefined;
