import type { Configs, Kind } from "./commands.js";
import type { EphemeralEvents } from "./ephemeral.js";
import type { JobEvents } from "./job.js";
import type { RegistryEvents } from "./registry.js";
import type { SchedulerEvents } from "./scheduler.js";
import type { SpaceEvents } from "./space.js";
import type { TopicEvents } from "./topic.js";

/**
 * What an instance announces after the commit of what caused it. Kinds with an event log announce each of its events,
 * so that a missing number shows.
 */
export type InstanceEvent =
  | { type: "instance.reconfigured"; config: Configs[Kind] }
  | SpaceEvents
  | TopicEvents
  | JobEvents
  | SchedulerEvents
  | RegistryEvents
  | EphemeralEvents;

/** One event on the event channel: which instance, the log's head after it, and what happened. */
export interface FeedEvent {
  /** The instance's key: its name as JSON. */
  instance: string;
  /** The log number of this event; 0 for events without a place in the log. */
  n: number;
  event: InstanceEvent;
}

/** One message on the event channel: the events of one turn. */
export interface FeedMessage {
  epoch: string;
  events: FeedEvent[];
}
