import type { Case } from "./case.js";
import { jobEvents } from "./job-events.cases.js";
import { jobJoin } from "./job-join.cases.js";
import { jobRun } from "./job-run.cases.js";
import { jobSteps } from "./job-steps.cases.js";
import { jobStop } from "./job-stop.cases.js";
import { jobSubmit } from "./job-submit.cases.js";

export const jobCases: Case[] = [...jobSubmit, ...jobRun, ...jobSteps, ...jobJoin, ...jobEvents, ...jobStop];
