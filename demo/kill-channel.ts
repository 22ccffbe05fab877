/** A message here ends the hub (hub.ts). */
export const KILL_CHANNEL = "playground:kill";
