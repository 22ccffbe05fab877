import type { RateLimitResult, RatelimitConfig } from "../protocol/commands.js";
import { RateLimitError } from "../protocol/errors.js";
import type { Flavour } from "./flavour.js";
import { Handle } from "./handle.js";
import { promised } from "./maybe.js";
import type { CheckOptions, RateLimit, RateLimitOptions } from "./ratelimit-types.js";
import { boundedText, integer, oneOf } from "./ranges.js";

/** The `ratelimit` factory over a flavour's backend. */
export function createRatelimitFactory(flavour: Flavour) {
  /**
   * How often something may happen in a time, per identifier, over all tabs together.
   *
   * @throws `ValidationError` for a bad id; `RangeError` for `limit` or `windowSecs` out of range. Contradicting another
   * handle's `windowSecs` or `algorithm` rejects the first call with `CONFLICT`.
   * @example
   * const searches = ratelimit({ id: "searches", limit: 10, windowSecs: 60 });
   * const { limited, resetIn } = await searches.check(userId);
   * if (limited) show(`try again in ${resetIn} ms`);
   */
  return function ratelimit(options: RateLimitOptions): RateLimit {
    const handle = new Handle("ratelimit", flavour, options, configOf(options), "memory");
    const check = (identifier: string, cost: number): Promise<RateLimitResult> =>
      promised(() => {
        const body = { identifier: boundedText("identifier", identifier), cost: integer("cost", cost, { min: 0 }) };
        return handle.port().call("ratelimit.check", body);
      });
    const close = async (): Promise<void> => handle.close();
    return {
      check: (identifier, given) => check(identifier, costOf(given)),
      async checkOrThrow(identifier, given) {
        const result = await check(identifier, costOf(given));
        if (result.limited) throw new RateLimitError(result);
        return result;
      },
      peek: (identifier) => check(identifier, 0),
      reset: async (identifier) =>
        void (await handle.ask(undefined, (port) =>
          port.call("ratelimit.reset", { identifier: boundedText("identifier", identifier) }),
        )),
      stats: () => handle.ask(undefined, (port) => port.call("ratelimit.stats", {})),
      close,
      [Symbol.asyncDispose]: close,
    };
  };
}

function costOf(given: CheckOptions | undefined): number {
  return given?.cost ?? 1;
}

function configOf({ limit, windowSecs = 1, algorithm = "sliding-window" }: RateLimitOptions): RatelimitConfig {
  if (!(Number.isFinite(limit) && limit > 0))
    throw new RangeError(`limit must be a finite number above 0, not ${limit}`);
  // Two windows in milliseconds must be a safe integer.
  const max = Math.floor(Number.MAX_SAFE_INTEGER / 2000);
  return {
    limit,
    windowMs: integer("windowSecs", windowSecs, { min: 1, max }) * 1000,
    algorithm: oneOf("algorithm", algorithm, ["sliding-window", "token-bucket"]),
  };
}
