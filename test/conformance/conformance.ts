import type { Case } from "./case.js";
import { queueCases } from "./queue.cases.js";
import { retryCases } from "./retry.cases.js";
import { topicCases } from "./topic.cases.js";

/** Every case. Names are unique within a primitive; `<primitive>: <name>` names one in a run. */
export function casesOf(): Case[] {
  return [...queueCases, ...topicCases, ...retryCases];
}

export function fullName({ primitive, name }: Case): string {
  return `${primitive}: ${name}`;
}
