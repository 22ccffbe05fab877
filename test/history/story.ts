import type { AnyCall, Moment, Outcome } from "./record.js";

/** A call that was made and is not answered yet. */
export interface Open {
  answers(value: unknown): void;
  fails(code: string): void;
}

/** A history written by hand. Every line of it comes after the one before, and all tabs know that. */
export class Story {
  readonly calls: AnyCall[] = [];
  #line = 0;

  /** A call that others overlap with. Left alone, it is never answered. */
  begins(tab: string, op: string, args: unknown): Open {
    const call: { -readonly [Key in keyof AnyCall]: AnyCall[Key] } = { op, args, invoked: this.#moment(tab) };
    this.calls.push(call);
    const ends = (said: { value: unknown } | { error: string }): void => {
      call.outcome = { at: this.#moment(tab), ...said } satisfies Outcome<unknown>;
    };
    return { answers: (value) => ends({ value }), fails: (error) => ends({ error }) };
  }

  #moment(tab: string): Moment {
    const n = ++this.#line;
    return { tab, n, from: n, to: n };
  }
}

/** The same history, told by tabs whose clocks are so uncertain that nothing is known of the order between them. */
export function blurred<Call extends AnyCall>(calls: readonly Call[]): Call[] {
  const blur = (moment: Moment): Moment => ({ ...moment, from: -Infinity, to: Infinity });
  return calls.map((call) => ({
    ...call,
    invoked: blur(call.invoked),
    ...(call.outcome ? { outcome: { ...call.outcome, at: blur(call.outcome.at) } } : {}),
  }));
}
