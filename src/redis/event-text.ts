import type { InstanceEvent } from "../protocol/events.js";

/** What scripts publish of an event: its number in the log (0: it has none), a blank, the event as JSON. */
export function parseEvent(text: string): [number, InstanceEvent] {
  const blank = text.indexOf(" ");
  return [Number(text.slice(0, blank)), JSON.parse(text.slice(blank + 1)) as InstanceEvent];
}
