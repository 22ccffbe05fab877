import { type Case, cases } from "./case.js";

export const jobCases: Case[] = cases("job", {});
