import { type CommandTraits, read } from "./traits.js";

export interface MutexConfig {
  placeholder?: never;
}

export interface MutexCommands {
  "mutex.stats": { body: Record<string, never>; reply: null };
}

export const mutexTraits = {
  "mutex.stats": read,
} satisfies Record<keyof MutexCommands, CommandTraits>;
