import type { RateLimitResult, RatelimitStats } from "../protocol/commands.js";
import type { HandleOptions } from "./handle.js";

export interface RateLimitOptions extends HandleOptions {
  /** What passes in a window, per identifier: finite, above 0; a fraction is allowed. */
  limit: number;
  /** Length of the window in whole seconds. Default 1. Fixed once the instance exists. */
  windowSecs?: number;
  /**
   * "sliding-window": calls of the last window, those of the window before fading out; every check counts, limited ones
   * too. "token-bucket" (GCRA): `limit` calls at once, then they come back evenly over the window; limited checks take
   * nothing. Default "sliding-window"; fixed once the instance exists.
   */
  algorithm?: "sliding-window" | "token-bucket";
}

export interface CheckOptions {
  /** What the call counts: a whole number, 0 only looks. Default 1. */
  cost?: number;
}

/** See {@link ratelimit}. */
export interface RateLimit {
  /**
   * Counts a call and says whether it may go on.
   *
   * @param identifier Who calls: any text up to 65,536 characters.
   * @throws `RangeError` for a cost that is no whole number, or that a token bucket can never hold.
   */
  check(identifier: string, options?: CheckOptions): Promise<RateLimitResult>;
  /** As `check`; rejects with `RateLimitError` when the call is limited. */
  checkOrThrow(identifier: string, options?: CheckOptions): Promise<RateLimitResult>;
  /** What is left, without counting. */
  peek(identifier: string): Promise<RateLimitResult>;
  /** Forgets what was counted. */
  reset(identifier: string): Promise<void>;
  stats(): Promise<RatelimitStats>;
  /** Ends this handle: its calls then reject with `CLOSED`. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
