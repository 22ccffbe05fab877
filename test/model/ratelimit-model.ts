import type { RatelimitConfig } from "../../src/protocol/commands.js";

interface Checked {
  readonly at: number;
  readonly cost: number;
}

/** Enough for the fractions of the limits that are tried: everything is a whole number of these. */
const PARTS = 1000n;

/** A rate limit as one would explain it: every check is remembered, and sums are made anew, in whole numbers. */
export class RatelimitModel {
  config: RatelimitConfig;
  checked = new Map<string, Checked[]>();

  constructor(config: RatelimitConfig) {
    this.config = config;
  }

  clone(): RatelimitModel {
    const copy = new RatelimitModel(this.config);
    copy.checked = structuredClone(this.checked);
    return copy;
  }

  check(identifier: string, cost: number, now: number) {
    const { algorithm } = this.config;
    return algorithm === "sliding-window" ? this.#slide(identifier, cost, now) : this.#take(identifier, cost, now);
  }

  reset(identifier: string): void {
    this.checked.delete(identifier);
  }

  /** Calls × ms × parts that fit into a window. */
  get #full(): bigint {
    return BigInt(this.config.limit * Number(PARTS)) * BigInt(this.config.windowMs);
  }

  #slide(identifier: string, cost: number, now: number) {
    const { windowMs } = this.config;
    const window = Math.floor(now / windowMs);
    const passed = now - window * windowMs;
    const checked = this.#of(identifier, cost, now);
    const countOf = (which: number): bigint =>
      checked.filter(({ at }) => Math.floor(at / windowMs) === which).reduce((sum, one) => sum + BigInt(one.cost), 0n);
    const unit = PARTS * BigInt(windowMs);
    const sum = countOf(window - 1) * BigInt(windowMs - passed) * PARTS + (countOf(window) + BigInt(cost)) * unit;
    const left = this.#full - sum;
    if (cost > 0) checked.push({ at: now, cost });
    return { limited: left < 0n, remaining: left < 0n ? 0 : Number(left / unit), resetIn: windowMs - passed };
  }

  #take(identifier: string, cost: number, now: number) {
    const { limit, windowMs } = this.config;
    if (cost > limit) return undefined;
    const full = this.#full;
    const unit = PARTS * BigInt(windowMs);
    const perMs = BigInt(limit * Number(PARTS));
    const checked = this.#of(identifier, cost, now);
    let level = 0n;
    let last = 0;
    const drain = (until: number): void => {
      level = max(0n, min(level, full) - BigInt(until - last) * perMs);
      last = until;
    };
    for (const one of checked) {
      drain(one.at);
      level += BigInt(one.cost) * unit;
    }
    drain(now);
    const limited = level + BigInt(cost) * unit > full;
    if (!limited && cost > 0) checked.push({ at: now, cost });
    if (!limited) level += BigInt(cost) * unit;
    const missing = level + min(BigInt(cost || 1) * unit, full) - full;
    const resetIn = missing <= 0n ? 0 : Number((missing + perMs - 1n) / perMs);
    return { limited, remaining: Number((full - level) / unit), resetIn };
  }

  #of(identifier: string, cost: number, now: number): Checked[] {
    let checked = this.checked.get(identifier) ?? [];
    // What is older has no weight any more, but the sum of all would take for ever.
    checked = checked.filter(({ at }) => at > now - 3 * this.config.windowMs);
    if (cost > 0) this.checked.set(identifier, checked);
    return checked;
  }
}

const min = (a: bigint, b: bigint): bigint => (a < b ? a : b);
const max = (a: bigint, b: bigint): bigint => (a > b ? a : b);
