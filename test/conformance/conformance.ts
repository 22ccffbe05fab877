import type { Case } from "./case.js";
import { durabilityCases } from "./durability.cases.js";
import { ephemeralCases } from "./ephemeral.cases.js";
import { inspectCases } from "./inspect.cases.js";
import { jobCases } from "./job.cases.js";
import { mutexCases } from "./mutex.cases.js";
import { queueCases } from "./queue.cases.js";
import { ratelimitCases } from "./ratelimit.cases.js";
import { registryCases } from "./registry.cases.js";
import { retryCases } from "./retry.cases.js";
import { schedulerCases } from "./scheduler.cases.js";
import { topicCases } from "./topic.cases.js";

/** Every case. Names are unique within a primitive; `<primitive>: <name>` names one in a run. */
export function casesOf(): Case[] {
  return [
    ...ratelimitCases,
    ...mutexCases,
    ...queueCases,
    ...topicCases,
    ...jobCases,
    ...schedulerCases,
    ...registryCases,
    ...ephemeralCases,
    ...durabilityCases,
    ...retryCases,
    ...inspectCases,
  ];
}

export function fullName({ primitive, name }: Case): string {
  return `${primitive}: ${name}`;
}
