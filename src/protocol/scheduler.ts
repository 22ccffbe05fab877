import { type CommandTraits, read } from "./traits.js";

export interface SchedulerConfig {
  placeholder?: never;
}

export interface SchedulerCommands {
  "scheduler.stats": { body: Record<string, never>; reply: null };
}

export const schedulerTraits = {
  "scheduler.stats": read,
} satisfies Record<keyof SchedulerCommands, CommandTraits>;
