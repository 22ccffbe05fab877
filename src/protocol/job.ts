import { type CommandTraits, read } from "./traits.js";

export interface JobConfig {
  placeholder?: never;
}

export interface JobCommands {
  "job.stats": { body: Record<string, never>; reply: null };
}

export const jobTraits = {
  "job.stats": read,
} satisfies Record<keyof JobCommands, CommandTraits>;

/** What the instance's log holds, as it is announced. */
export type JobEvents = { type: "job.changed"; event: { n: number } };
