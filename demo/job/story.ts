import type { JobEventItem } from "tabloom";
import { byId, el } from "../page/dom.js";
import { reports } from "./reports.js";

const list = byId("story", HTMLOListElement);
let told: string | undefined;
let telling = new AbortController();

/** Follows one job's events from the first, and stops following the one before. */
export function tellStoryOf(id: string | undefined): void {
  if (id === told || id === undefined) return;
  told = id;
  telling.abort();
  telling = new AbortController();
  list.replaceChildren();
  void tell(id, telling.signal);
}

async function tell(id: string, signal: AbortSignal): Promise<void> {
  for await (const { data } of reports.events(id).live({ after: "0-0", onGap: "continue", signal })) {
    const words = wordsOf(data);
    if (words !== "") list.append(el("li", { "data-type": data.type }, words));
  }
}

function wordsOf(event: JobEventItem["data"]): string {
  switch (event.type) {
    case "step":
      return `step ${event.stepId}`;
    case "started":
      return event.attempt > 1 ? "started again" : "started";
    case "progress":
    case "heartbeat":
      return "";
    default:
      return event.type;
  }
}
