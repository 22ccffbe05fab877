import type { InstanceEvent } from "../protocol/events.js";

/** What scripts publish of events, a line for each: its number in the log (0: it has none), a blank, the event as JSON. */
export function parseEvents(text: string): [n: number, event: InstanceEvent][] {
  return text.split("\n").map((line) => {
    const blank = line.indexOf(" ");
    return [Number(line.slice(0, blank)), JSON.parse(line.slice(blank + 1)) as InstanceEvent];
  });
}
