import type { BackendStatus } from "tabloom";
import { byId, setText } from "../page/dom.js";
import { duration, plural } from "../page/format.js";
import { repeatWhileVisible } from "../page/pace.js";
import { backend } from "../space.js";

const hub = byId("hub", HTMLDivElement);
const bar = byId("bar-status", HTMLSpanElement);
const STATES = {
  connecting: "Connecting",
  loading: "Hub is loading",
  ready: "Hub is ready",
  blocked: "An older build is in the way",
  failed: "Hub failed",
  closed: "Closed",
} satisfies Record<BackendStatus["state"], string>;
const MODES = {
  "shared-worker": "in a SharedWorker",
  "elected-tab": "beside one of the tabs",
  "single-tab": "in this tab alone",
  memory: "in this tab's memory",
  redis: "on a Redis server",
} satisfies Record<BackendStatus["mode"], string>;

let seenAt = performance.now();
let epoch = "";

/** What the hub says about itself, under the tabs and in the bar. */
export function showHub(): void {
  backend.onStatus(showStatus);
  showStatus();
  repeatWhileVisible(1000, showAge);
}

function showAge(): void {
  const seconds = Math.round((performance.now() - seenAt) / 1000);
  setText(byId("hub-age", HTMLElement), seconds === 0 ? "just now" : duration(seconds * 1000));
}

function showStatus(): void {
  const { state, connected, mode, durable, tabs, version, epoch: newEpoch } = backend.status;
  const health = state === "ready" && !connected ? "connecting" : state;
  if (newEpoch !== epoch) {
    if (epoch !== "") flash();
    epoch = newEpoch;
    seenAt = performance.now();
  }
  hub.dataset["state"] = health;
  bar.dataset["state"] = health;
  setText(byId("hub-state", HTMLElement), STATES[health]);
  setText(
    byId("bar-status-text", HTMLElement),
    health === "ready" ? `${plural(tabs, "tab")} in touch` : STATES[health],
  );
  setText(byId("hub-mode", HTMLElement), MODES[mode]);
  setText(byId("hub-tabs", HTMLElement), String(tabs));
  setText(byId("hub-durable", HTMLElement), durable ? "durable" : "memory only");
  setText(byId("hub-epoch", HTMLElement), shortEpoch(newEpoch));
  setText(byId("hub-version", HTMLElement), version);
}

export function shortEpoch(value: string): string {
  return value === "" ? "–" : value.slice(-6);
}

function flash(): void {
  hub.classList.remove("new-hub");
  // Read, so that the animation starts again.
  void hub.offsetWidth;
  hub.classList.add("new-hub");
}
