import { type CommandTraits, read, shrink } from "./traits.js";

export interface RatelimitConfig {
  limit: number;
  windowMs: number;
  algorithm: "sliding-window" | "token-bucket";
}

/** Whether a call may go on, and what is left. */
export interface RateLimitResult {
  /** The call is beyond the limit. */
  limited: boolean;
  /** Calls that would still pass now. */
  remaining: number;
  /**
   * Sliding window: milliseconds to the end of the current window. Token bucket: milliseconds until a call of this cost
   * would pass, 0 for at once.
   */
  resetIn: number;
}

export interface RatelimitStats {
  /** Identifiers with a counter that is not forgotten yet. */
  identifiers: number;
}

export interface RatelimitCommands {
  /** Cost 0 looks and changes nothing. */
  "ratelimit.check": { body: { identifier: string; cost: number }; reply: RateLimitResult };
  "ratelimit.reset": { body: { identifier: string }; reply: null };
  "ratelimit.stats": { body: Record<string, never>; reply: RatelimitStats };
}

export const ratelimitTraits = {
  // Does not count as growing: a row per identifier, forgotten with its window, and memory-only by default.
  "ratelimit.check": shrink,
  "ratelimit.reset": read,
  "ratelimit.stats": read,
} satisfies Record<keyof RatelimitCommands, CommandTraits>;
