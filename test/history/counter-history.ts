/** Counters that tabs count up by compare and swap: each number is reached once, by one tab. */
import { type Call, type Violation, grouped, isBefore, isUnknown, resultOf, unanswered } from "./record.js";

/** Sets the counter to `to`, unless another was faster. */
export type CasCall = Call<"cas", { key: string; to: number }, boolean>;
export type GetCall = Call<"get", { key: string }, number | null>;

export interface CounterHistory {
  readonly calls: readonly (CasCall | GetCall)[];
  readonly dead: readonly string[];
  /** Where each counter stands when all is over. */
  readonly final: Readonly<Record<string, number>>;
}

export type CounterRule = "unanswered" | "lost" | "applied twice" | "phantom" | "went back";

export function checkCounters(history: CounterHistory): Violation<CounterRule>[] {
  const { calls, dead, final } = history;
  const sets = calls.filter((call) => call.op === "cas");
  const gets = calls.filter((call) => call.op === "get");
  const keys = new Set([...sets.map(({ args }) => args.key), ...Object.keys(final)]);
  return [
    ...unanswered(calls, dead),
    ...[...keys].flatMap((key) =>
      counter(
        key,
        sets.filter(({ args }) => args.key === key),
        final[key] ?? 0,
      ),
    ),
    ...gets.flatMap((get): Violation<CounterRule>[] => {
      const { key } = get.args;
      const read = resultOf(get);
      const before = sets.filter((set) => set.args.key === key && resultOf(set) && isBefore(set, get));
      const atLeast = Math.max(0, ...before.map(({ args }) => args.to));
      if (read === undefined || (read ?? 0) >= atLeast) return [];
      return [{ rule: "went back", says: `${key} was read as ${read}, after it had been set to ${atLeast}` }];
    }),
  ];
}

function counter(key: string, sets: readonly CasCall[], final: number): Violation<CounterRule>[] {
  const violations: Violation<CounterRule>[] = [];
  const accepted = grouped(sets.filter(resultOf), ({ args }) => args.to);
  const unknown = grouped(sets.filter(isUnknown), ({ args }) => args.to);
  for (const [to, calls] of accepted) {
    if (calls.length > 1)
      violations.push({ rule: "applied twice", says: `${key} was set to ${to} ${calls.length} times` });
    if (to > final) violations.push({ rule: "lost", says: `${key} was set to ${to}, and is ${final}` });
  }
  for (let to = 1; to <= final; to++) {
    if (!accepted.has(to) && !unknown.has(to))
      violations.push({ rule: "phantom", says: `${key} is ${final}, and nobody set it to ${to}` });
  }
  return violations;
}
