/**
 * A history: the calls that tabs made and what came of them, as they saw it. What a checker may conclude from it depends
 * on what is known of the order: everything within a tab; between tabs what a common clock tells, whose reading of each
 * tab's clock is right to within known bounds.
 */
export interface Moment {
  readonly tab: string;
  /** Grows with everything this tab notes. */
  readonly n: number;
  /** On the common clock it was between these, in milliseconds. */
  readonly from: number;
  readonly to: number;
}

/** Whether one is known to have come before the other. */
export function precedes(earlier: Moment, later: Moment): boolean {
  return earlier.tab === later.tab ? earlier.n < later.n : earlier.to < later.from;
}

/** A call and what came of it. No outcome: its tab died first, or it hung. */
export interface Call<Op extends string, Args, Result> {
  readonly op: Op;
  readonly args: Args;
  readonly invoked: Moment;
  readonly outcome?: Outcome<Result>;
}

export type Outcome<Result> = { readonly at: Moment } & (
  { readonly value: Result } | { readonly error: string /* its code */ }
);

export type AnyCall = Call<string, unknown, unknown>;

/** Whether one call was answered before the other was made. */
export function isBefore(earlier: AnyCall, later: AnyCall): boolean {
  return earlier.outcome !== undefined && precedes(earlier.outcome.at, later.invoked);
}

/** What the call resolved with; undefined when it did not. */
export function resultOf<Result>({ outcome }: Call<string, unknown, Result>): Result | undefined {
  return outcome && "value" in outcome ? outcome.value : undefined;
}

/** These leave open whether the call had its effect; every other error says that it had none. */
const UNKNOWN_EFFECT: readonly string[] = ["TIMEOUT", "EPOCH_CHANGED", "INDETERMINATE"];

/** Whether nobody can know if the call had its effect. */
export function isUnknown({ outcome }: AnyCall): boolean {
  return outcome === undefined || ("error" in outcome && UNKNOWN_EFFECT.includes(outcome.error));
}

/** What a tab writes down, as it happens. */
export type Note = { tab: string; n: number; at: number; call: string } & (
  { op: string; args: unknown } | { value: unknown } | { error: string }
);

/** How a tab's clock stands to the common one: common = its own + offset, give or take error. */
export interface ClockReading {
  readonly offset: number;
  readonly error: number;
}

/** Puts the notes of all tabs together: calls, in no particular order. */
export function callsOf(notes: readonly Note[], clocks: ReadonlyMap<string, ClockReading>): AnyCall[] {
  const momentOf = ({ tab, n, at }: Note): Moment => {
    const { offset, error } = clocks.get(tab)!;
    return { tab, n, from: at + offset - error, to: at + offset + error };
  };
  const outcomes = new Map<string, Outcome<unknown>>();
  for (const note of notes) {
    if ("op" in note) continue;
    const said = "error" in note ? { error: note.error } : { value: note.value };
    outcomes.set(note.call, { at: momentOf(note), ...said });
  }
  return notes
    .filter((note) => "op" in note)
    .map((note) => {
      const outcome = outcomes.get(note.call);
      return { op: note.op, args: note.args, invoked: momentOf(note), ...(outcome ? { outcome } : {}) };
    });
}

/** One broken promise: which, and what shows it. */
export interface Violation<Rule extends string> {
  readonly rule: Rule;
  readonly says: string;
}

/** Calls that were never answered although their tab lived: they hung. */
export function unanswered(calls: readonly AnyCall[], dead: readonly string[]): Violation<"unanswered">[] {
  return calls
    .filter(({ outcome, invoked }) => outcome === undefined && !dead.includes(invoked.tab))
    .map(({ op, args, invoked }) => ({
      rule: "unanswered",
      says: `${invoked.tab} never heard of ${op} ${JSON.stringify(args)}`,
    }));
}

/** Each with each, in the order of the list. One at a time, for a long history has millions. */
export function* pairs<T>(list: readonly T[]): Iterable<[T, T]> {
  for (let i = 0; i < list.length; i++) {
    for (let j = i + 1; j < list.length; j++) yield [list[i]!, list[j]!];
  }
}

export function grouped<K, T>(list: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of list) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}
