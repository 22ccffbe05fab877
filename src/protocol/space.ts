import type { Configs, Durability, InstanceName, Kind } from "./commands.js";
import type { Json } from "./json.js";
import { type CommandTraits, read } from "./traits.js";

/** One instance of a space, looked at from outside. */
export interface InstanceInfo {
  name: InstanceName;
  config: Configs[Kind];
  durability: Durability;
  /** What the handle's `stats()` gives. */
  stats: Json;
}

/** Commands to the space itself, not to one of its instances. */
export interface SpaceCommands {
  "space.instances": { body: Record<string, never>; reply: InstanceInfo[] };
  /** What an instance holds, without taking any of it. Payloads are JSON text. Empty when there is no such instance. */
  "space.peek": { body: { name: InstanceName; limit: number }; reply: Json[] };
}

export const spaceTraits = {
  "space.instances": read,
  "space.peek": read,
} satisfies Record<keyof SpaceCommands, CommandTraits>;

/** What a space tells those who follow its trace. */
export type SpaceEvents = { type: "space.traced"; entry: TraceEntry };

export type TraceEntry =
  | {
      type: "command";
      /** When it was answered, by the hub's clock. */
      at: number;
      instance: InstanceName;
      op: string;
      body: Json;
      /** The tab that asked: its `backend.status.tabId`. */
      by: string;
      /** "ok", or the code of the error. */
      outcome: string;
    }
  | { type: "event"; at: number; instance: InstanceName; event: Json };
