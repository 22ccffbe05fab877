import type { Configs, Kind, TopicEvent } from "./commands.js";

/** What an instance announces after the commit of what caused it. */
export type InstanceEvent =
  { type: "topic.published"; event: TopicEvent } | { type: "instance.reconfigured"; config: Configs[Kind] };

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
