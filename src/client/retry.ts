import { AbortError } from "../protocol/errors.js";
import { integer } from "./ranges.js";
import { onAbort, sleep } from "./signals.js";

export interface RetryOptions {
  /** Calls at most, the first included; `Infinity` is allowed. Default 8. */
  attempts?: number;
  /** Pause after the first failure, in milliseconds. Default 100. */
  minDelayMs?: number;
  /** The longest pause, in milliseconds; jitter does not exceed it. Default 2,000. */
  maxDelayMs?: number;
  /** Each pause is this many times the one before; at least 1. Default 2. */
  factor?: number;
  /** How far a pause may differ at random, as a fraction from 0 to 1. Default 0.2. */
  jitter?: number;
  /** Aborts pauses, and stops waiting for a call that is under way. */
  signal?: AbortSignal;
  /** Whether this error is worth another attempt. Not asked after the last. Default `isRetryableTransportError`. */
  retryIf?: (error: unknown) => boolean;
}

export const DEFAULT_RETRY_OPTIONS = {
  attempts: 8,
  minDelayMs: 100,
  maxDelayMs: 2000,
  factor: 2,
  jitter: 0.2,
} as const satisfies RetryOptions;

/**
 * Calls `fn` until it succeeds, with growing pauses.
 *
 * @param fn Gets the attempt's number, from 1.
 * @returns What `fn` returned.
 * @throws The last error, unchanged; `AbortError` (its `cause` is `signal.reason`) when the signal aborts, also while
 * `fn` runs; `RangeError` for options out of range, before the first call.
 * @example
 * const user = await retry(() => fetchUser(id), { attempts: 5, signal: AbortSignal.timeout(10_000) });
 */
export async function retry<T>(fn: (attempt: number) => T | Promise<T>, options: RetryOptions = {}): Promise<T> {
  const { attempts, minDelayMs, maxDelayMs, factor, jitter } = { ...DEFAULT_RETRY_OPTIONS, ...definedOnly(options) };
  if (attempts !== Infinity) integer("attempts", attempts, { min: 1 });
  finite("minDelayMs", minDelayMs, 0);
  finite("maxDelayMs", maxDelayMs, 0);
  finite("factor", factor, 1);
  finite("jitter", jitter, 0, 1);
  const { signal, retryIf = isRetryableTransportError } = options;
  for (let attempt = 1; ; attempt++) {
    if (signal?.aborted) throw new AbortError(signal.reason);
    try {
      return await abortable(async () => fn(attempt), signal);
    } catch (error) {
      if (signal?.aborted) throw new AbortError(signal.reason);
      if (attempt >= attempts || !retryIf(error)) throw error;
    }
    const base = Math.min(maxDelayMs, grown(minDelayMs, factor, attempt));
    // At least one macrotask, so that a loop without pauses does not starve the page.
    await sleep(jittered(base, jitter, maxDelayMs), signal);
  }
}

export interface ExpBackoffOptions {
  /** Pause after the first failure, in milliseconds. Default 100. */
  baseMs?: number;
  /** The longest pause, in milliseconds. Default 2,000. */
  maxMs?: number;
  /** Random difference, as a fraction from 0 to 1. Default 0.2. */
  jitter?: number;
}

/**
 * The pause before the next attempt: `baseMs × 2^(attempt − 1)`, at most `maxMs`.
 *
 * @param attempt How often it failed, from 1.
 * @returns Whole milliseconds, from 0 to `maxMs`.
 * @throws `RangeError` for arguments out of range.
 * @example
 * await message.nack({ delayMs: expBackoff(message.attempt, { baseMs: 1000, maxMs: 60_000 }) });
 */
export function expBackoff(
  attempt: number,
  { baseMs = 100, maxMs = 2000, jitter = 0.2 }: ExpBackoffOptions = {},
): number {
  integer("attempt", attempt, { min: 1 });
  finite("baseMs", baseMs, 0);
  finite("maxMs", maxMs, 0);
  finite("jitter", jitter, 0, 1);
  return jittered(Math.min(maxMs, grown(baseMs, 2, attempt)), jitter, maxMs);
}

const ERRNO = new Set([
  "ECONNRESET",
  "ETIMEDOUT",
  "ECONNREFUSED",
  "ENOTFOUND",
  "EPIPE",
  "EHOSTUNREACH",
  "ECONNABORTED",
  "ENETUNREACH",
  "EAI_AGAIN",
]);
const PHRASES =
  /\b(connection (is )?(closed|refused|reset|lost)|socket (closed|hang up)|broken pipe|network error|failed to fetch|load failed)\b/i;
const REDIS_TOKENS = /^(LOADING|TRYAGAIN|CLUSTERDOWN|MASTERDOWN)\b/;

/**
 * Whether an error looks like a passing fault of the connection: an errno code, a full phrase such as "socket hang up",
 * a leading Redis token such as `LOADING`, or one of our own errors with `retryable: true`.
 *
 * @example
 * await retry(sync, { retryIf: (error) => isRetryableTransportError(error) || isBusy(error) });
 */
export function isRetryableTransportError(error: unknown): boolean {
  if (typeof error === "string") return matches(error);
  if (!(error instanceof Error)) return false;
  const { code, retryable } = error as { code?: unknown; retryable?: unknown };
  if (typeof retryable === "boolean") return retryable;
  if (typeof code === "string" && (ERRNO.has(code.toUpperCase()) || REDIS_TOKENS.test(code))) return true;
  return matches(error.message);
}

function matches(message: string): boolean {
  return (
    PHRASES.test(message) ||
    REDIS_TOKENS.test(message) ||
    [...message.matchAll(/\bE[A-Z_]{3,}\b/g)].some(([name]) => ERRNO.has(name))
  );
}

/** Bounded, because 0 × Infinity is no number. */
function grown(ms: number, factor: number, attempt: number): number {
  return ms * Math.min(Number.MAX_VALUE, factor ** (attempt - 1));
}

function jittered(ms: number, jitter: number, maxMs: number): number {
  return Math.min(maxMs, Math.floor(ms * (1 + jitter * (Math.random() * 2 - 1))));
}

function finite(name: string, value: number, min: number, max = Number.MAX_VALUE): void {
  if (typeof value === "number" && value >= min && value <= max) return;
  throw new RangeError(
    `${name} must be a number from ${min}${max === Number.MAX_VALUE ? "" : ` to ${max}`}, not ${String(value)}`,
  );
}

function definedOnly<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

async function abortable<T>(run: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return run();
  let release!: () => void;
  const aborted = new Promise<never>((_, reject) => {
    release = onAbort(signal, () => reject(new AbortError(signal.reason)));
  });
  try {
    return await Promise.race([run(), aborted]);
  } finally {
    release();
  }
}
