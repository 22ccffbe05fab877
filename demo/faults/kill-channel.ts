/** Who is named here ends: the hub (hub.ts), or a page by its id (crash.ts). */
export const KILL_CHANNEL = "playground:kill";
export const THE_HUB = "hub";
