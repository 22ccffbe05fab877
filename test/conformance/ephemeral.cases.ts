import { type Case, cases } from "./case.js";

export const ephemeralCases: Case[] = cases("ephemeral", {});
