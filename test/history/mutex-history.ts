/**
 * What a mutex promised, checked on what tabs saw of it, and on what a resource saw that its locks protect: a register
 * that refuses an access when one with a later token came before.
 */
import { type Call, type Violation, grouped, isBefore, pairs, resultOf, unanswered } from "./record.js";

export type Mode = "exclusive" | "shared";

/** `short`: its ttl may end while it is held. */
export type AcquireCall = Call<"acquire", { resource: string; mode: Mode; short?: boolean }, { token: number } | null>;
/** What the holder of a lock did with it, or learned of it. */
export type LockCall =
  | Call<"extend", { resource: string; token: number }, boolean>
  | Call<"access", { resource: string; token: number }, boolean>
  | Call<"release" | "lost", { resource: string; token: number }, null>;
export type MutexCall = AcquireCall | LockCall;

/** What the register was asked, in its own order. Exclusive locks write, shared ones read. */
export interface Access {
  readonly resource: string;
  readonly token: number;
  readonly mode: Mode;
  readonly accepted: boolean;
}

/** Of one mutex: its tokens are numbers of one line. */
export interface MutexHistory {
  readonly calls: readonly MutexCall[];
  /** Tabs that died: what became of their last calls and of their locks is unknown to them. */
  readonly dead: readonly string[];
  readonly register: readonly Access[];
}

export type MutexRule =
  | "unanswered"
  | "token given twice"
  | "tokens went back"
  | "two holders"
  | "overlap at the resource"
  | "refused, and still held"
  | "never ended"
  | "first come, first served";

/** A lock that was granted, and what became of it. */
export interface Grant {
  readonly resource: string;
  readonly mode: Mode;
  readonly token: number;
  readonly call: AcquireCall;
  readonly uses: readonly LockCall[];
}

export function checkMutex(history: MutexHistory): Violation<MutexRule>[] {
  const grants = grantsOf(history);
  return [
    ...unanswered(history.calls, history.dead),
    ...tokenOrder(grants),
    ...twoHolders(grants),
    ...overlaps(history.register),
    ...refusals(grants),
    ...neverEnded(grants, history.dead),
  ];
}

/**
 * Locks that were taken away within their ttl. Fencing makes that harmless, and a new hub may do it to a tab that is too
 * slow to say what it holds; it may not be the rule.
 */
export function overtaken(history: MutexHistory): Grant[] {
  const grants = grantsOf(history);
  return grants.filter(
    (lock) => !lock.call.args.short && (isLost(lock) || grants.some((other) => isOvertaken(lock, other))),
  );
}

function isLost({ uses }: Grant): boolean {
  return uses.some(({ op }) => op === "lost");
}

/** Given up only when the other had been granted. */
function isOvertaken(lock: Grant, other: Grant): boolean {
  const release = lock.uses.find(({ op }) => op === "release");
  return other.token > lock.token && excludes(lock, other) && release !== undefined && isBefore(other.call, release);
}

export function grantsOf({ calls }: MutexHistory): Grant[] {
  const uses = grouped(calls.filter(isUse), ({ args }) => args.token);
  return calls
    .filter((call) => call.op === "acquire")
    .flatMap((call) => {
      const token = resultOf(call)?.token;
      return token === undefined ? [] : [{ ...call.args, token, call, uses: uses.get(token) ?? [] }];
    });
}

function isUse(call: MutexCall): call is LockCall {
  return call.op !== "acquire";
}

/** Tokens grow from grant to grant, and locks are granted in the order in which a tab asked for them. */
function tokenOrder(grants: readonly Grant[]): Violation<MutexRule>[] {
  const violations: Violation<MutexRule>[] = [];
  for (const pair of pairs(grants)) {
    const [low, high] = pair[0].token <= pair[1].token ? pair : [pair[1], pair[0]];
    const says = `${nameOf(high)} was granted before ${nameOf(low)}`;
    if (low.token === high.token) violations.push({ rule: "token given twice", says });
    else if (isBefore(high.call, low.call)) violations.push({ rule: "tokens went back", says });
    else if (isAskedBefore(high, low)) violations.push({ rule: "first come, first served", says });
  }
  return violations;
}

function isAskedBefore(a: Grant, b: Grant): boolean {
  const [first, second] = [a.call.invoked, b.call.invoked];
  return a.resource === b.resource && first.tab === second.tab && first.n < second.n;
}

/** Once a lock is granted, no earlier one that excludes it can be extended. */
function twoHolders(grants: readonly Grant[]): Violation<MutexRule>[] {
  const violations: Violation<MutexRule>[] = [];
  for (const [a, b] of pairs(grants)) {
    if (!excludes(a, b)) continue;
    const [earlier, later] = a.token < b.token ? [a, b] : [b, a];
    const extended = earlier.uses.some((use) => use.op === "extend" && resultOf(use) && isBefore(later.call, use));
    if (extended) violations.push({ rule: "two holders", says: `${nameOf(earlier)} beside ${nameOf(later)}` });
  }
  return violations;
}

function excludes(a: Grant, b: Grant): boolean {
  return a !== b && a.resource === b.resource && (a.mode === "exclusive" || b.mode === "exclusive");
}

/** What the register accepted is in the order of tokens: nobody who excludes a lock came between its accesses. */
function overlaps(register: readonly Access[]): Violation<MutexRule>[] {
  const violations: Violation<MutexRule>[] = [];
  for (const [resource, accesses] of grouped(register, (access) => access.resource)) {
    let [any, written] = [0, 0];
    for (const { token, mode, accepted } of accesses) {
      if (!accepted) continue;
      const highest = mode === "exclusive" ? any : written;
      if (token < highest)
        violations.push({ rule: "overlap at the resource", says: `${resource}: ${token} after ${highest}` });
      any = Math.max(any, token);
      if (mode === "exclusive") written = Math.max(written, token);
    }
  }
  return violations;
}

/** The register refuses only what came too late: that lock cannot be extended any more. */
function refusals(grants: readonly Grant[]): Violation<MutexRule>[] {
  return grants
    .filter(({ uses }) => {
      const refused = uses.filter((use) => use.op === "access" && resultOf(use) === false);
      const extended = uses.filter((use) => use.op === "extend" && resultOf(use) === true);
      return refused.some((access) => extended.some((extend) => isBefore(access, extend)));
    })
    .map((lock) => ({ rule: "refused, and still held", says: nameOf(lock) }));
}

/** Released, or known to be lost; only what a dead tab held ends without its knowledge. */
function neverEnded(grants: readonly Grant[], dead: readonly string[]): Violation<MutexRule>[] {
  return grants
    .filter(
      ({ call, uses }) => !dead.includes(call.invoked.tab) && !uses.some(({ op }) => op === "release" || op === "lost"),
    )
    .map((lock) => ({ rule: "never ended", says: nameOf(lock) }));
}

function nameOf({ resource, mode, token, call }: Grant): string {
  return `the ${mode} lock ${token} of ${call.invoked.tab} on ${resource}`;
}
