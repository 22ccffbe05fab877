import type { JobTemplate } from "../protocol/commands.js";
import { ValidationError } from "../protocol/errors.js";
import type { Maybe } from "./backend.js";
import type { Handle } from "./handle.js";

/** What a scheduler needs of a job's handle, and users do not. */
export interface JobLink {
  readonly handle: Handle<"job">;
  /** What every run with this input has in common: its text, checked, and the settings of the handle. */
  template(input: unknown): Maybe<JobTemplate>;
  /** Begins to work; a producer makes itself known. */
  start(): void;
}

const links = /*#__PURE__*/ new WeakMap<object, JobLink>();

/** Called where handles of jobs are made. */
export function linkJob<Job extends object>(job: Job, link: JobLink): Job {
  links.set(job, link);
  return job;
}

export function linkOf(job: object): JobLink {
  const link = links.get(Object(job) as object);
  if (link === undefined) throw new ValidationError("job must be a handle that job() made");
  return link;
}
