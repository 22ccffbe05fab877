import { type Case, cases } from "./case.js";

export const registryCases: Case[] = cases("registry", {});
