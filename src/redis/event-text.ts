import type { InstanceEvent } from "../protocol/events.js";

/**
 * What scripts publish: a line that says what it is, and the name under which its data stands in the event; then the data
 * of each event as JSON. `n`: the number of events of a log, else 0.
 */
export function parseEvents(text: string): [n: number, event: InstanceEvent][] {
  const [head, ...lines] = text.split("\n");
  const [type, name] = head!.split(" ") as [string, string];
  return lines.map((line) => {
    const data = JSON.parse(line) as { n: number };
    return [name === "event" ? data.n : 0, { type, [name]: data } as unknown as InstanceEvent];
  });
}
