import { type Case, cases } from "./case.js";

export const mutexCases: Case[] = cases("mutex", {});
