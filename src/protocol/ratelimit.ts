import { type CommandTraits, read } from "./traits.js";

export interface RatelimitConfig {
  placeholder?: never;
}

export interface RatelimitCommands {
  "ratelimit.stats": { body: Record<string, never>; reply: null };
}

export const ratelimitTraits = {
  "ratelimit.stats": read,
} satisfies Record<keyof RatelimitCommands, CommandTraits>;
