import { type CommandTraits, read } from "./traits.js";

export interface RegistryConfig {
  placeholder?: never;
}

export interface RegistryCommands {
  "registry.stats": { body: Record<string, never>; reply: null };
}

export const registryTraits = {
  "registry.stats": read,
} satisfies Record<keyof RegistryCommands, CommandTraits>;

/** What the instance's log holds, as it is announced. */
export type RegistryEvents = { type: "registry.changed"; event: { n: number } };
