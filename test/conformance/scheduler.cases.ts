import { type Case, cases } from "./case.js";

export const schedulerCases: Case[] = cases("scheduler", {});
