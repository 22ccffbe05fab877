import type { Case } from "./case.js";
import { jobAttempts } from "./job-attempts.cases.js";
import { jobEvents } from "./job-events.cases.js";
import { jobJoin } from "./job-join.cases.js";
import { jobKeys } from "./job-keys.cases.js";
import { jobLease } from "./job-lease.cases.js";
import { jobLook } from "./job-look.cases.js";
import { jobOrder } from "./job-order.cases.js";
import { jobSleep } from "./job-sleep.cases.js";
import { jobSteps } from "./job-steps.cases.js";
import { jobStop } from "./job-stop.cases.js";
import { jobSubmit } from "./job-submit.cases.js";
import { jobValues } from "./job-values.cases.js";

export const jobCases: Case[] = [
  ...jobSubmit,
  ...jobKeys,
  ...jobValues,
  ...jobAttempts,
  ...jobLease,
  ...jobOrder,
  ...jobSteps,
  ...jobSleep,
  ...jobJoin,
  ...jobLook,
  ...jobEvents,
  ...jobStop,
];
