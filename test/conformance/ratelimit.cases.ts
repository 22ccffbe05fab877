import type { Case } from "./case.js";
import { ratelimitBucket } from "./ratelimit-bucket.cases.js";
import { ratelimitWindow } from "./ratelimit-window.cases.js";

export const ratelimitCases: Case[] = [...ratelimitWindow, ...ratelimitBucket];
