import { type CommandTraits, read } from "./traits.js";

export interface EphemeralConfig {
  placeholder?: never;
}

export interface EphemeralCommands {
  "ephemeral.stats": { body: Record<string, never>; reply: null };
}

export const ephemeralTraits = {
  "ephemeral.stats": read,
} satisfies Record<keyof EphemeralCommands, CommandTraits>;

/** What the instance's log holds, as it is announced. */
export type EphemeralEvents = { type: "ephemeral.changed"; event: { n: number } };
