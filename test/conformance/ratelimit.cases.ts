import { type Case, cases } from "./case.js";

export const ratelimitCases: Case[] = cases("ratelimit", {});
