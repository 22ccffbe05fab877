import { me } from "../tabs/presence.js";
import { KILL_CHANNEL, THE_HUB } from "./kill-channel.js";

const kills = new BroadcastChannel(KILL_CHANNEL);

export function obeyCrashes(): void {
  kills.addEventListener("message", ({ data }) => data === me.page && crashHere());
}

/** Ends the hub under all tabs. */
export function killHub(): void {
  kills.postMessage(THE_HUB);
}

/** Ends a page, this one or another tab's. */
export function crash(page: string): void {
  if (page === me.page) crashHere();
  else kills.postMessage(page);
}

/** Leaves so that nothing of this page can say goodbye: only its Web Lock falls. */
function crashHere(): void {
  addEventListener("pagehide", (event) => event.stopImmediatePropagation(), { capture: true });
  // Replaced pages are not kept for "back", so this one is really gone.
  location.replace("./crashed.html");
}
