import type { Case } from "./case.js";
import { topicGroups } from "./topic-groups.cases.js";
import { topicLive } from "./topic-live.cases.js";
import { topicTakeover } from "./topic-takeover.cases.js";
import { topicPublish } from "./topic-publish.cases.js";

export const topicCases: Case[] = [...topicPublish, ...topicGroups, ...topicTakeover, ...topicLive];
