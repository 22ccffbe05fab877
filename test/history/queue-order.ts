/** What a queue promises about order, as far as the order of sends and claims is known. */
import type { QueueRule } from "./queue-history.js";
import { type Received, type RecvCall, type Sending, type Told, heldTogether } from "./queue-told.js";
import { type Violation, grouped, isBefore, pairs, precedes, resultOf } from "./record.js";

/**
 * First in, first out: of two messages that are claimed for the first time, the one that was sent first comes first.
 * What comes back takes another place in line, and so has no part in this; nor has what was delayed.
 */
export function sendOrder({ received, sendingOf }: Told): Violation<QueueRule>[] {
  const claims = received.flatMap(({ delivery: { attempt, value }, call, index }): Claim[] => {
    const sending = sendingOf.get(value);
    return attempt === 1 && sending && !sending.item.delayMs ? [{ sending, call, index }] : [];
  });
  const byPriority = grouped(claims, ({ sending }) => sending.item.priority ?? 5);
  return [...byPriority.values()].flatMap((line) => [
    ...[...grouped(line, ({ call }) => call.invoked.tab).values()].flatMap(overtakenInTab),
    ...overtakenByClock(line),
  ]);
}

/** The first delivery of a message: what was sent, and the call that claimed it. */
interface Claim {
  readonly sending: Sending;
  readonly call: RecvCall;
  readonly index: number;
}

/** Claims of one tab take effect in the order of the calls. */
function overtakenInTab(claims: readonly Claim[]): Violation<QueueRule>[] {
  const sent = new LatestSends();
  return [...claims].sort(byCall).flatMap((claim) => {
    const violations = sent.after(claim);
    sent.add(claim);
    return violations;
  });
}

/** Between tabs: a claim that was answered before another was made. */
function overtakenByClock(claims: readonly Claim[]): Violation<QueueRule>[] {
  const sent = new LatestSends();
  const answered = [...claims].sort((a, b) => a.call.outcome!.at.to - b.call.outcome!.at.to);
  let next = 0;
  return [...claims]
    .sort((a, b) => a.call.invoked.from - b.call.invoked.from)
    .flatMap((claim) => {
      while (next < answered.length && answered[next]!.call.outcome!.at.to < claim.call.invoked.from)
        sent.add(answered[next++]!);
      return sent.after(claim);
    });
}

/** Of messages that were claimed: the last that each tab sent, and the last of all. */
class LatestSends {
  readonly #ofTab = new Map<string, Claim>();
  #last: Claim | undefined;

  add(claim: Claim): void {
    const { tab, from } = claim.sending.call.invoked;
    const ofTab = this.#ofTab.get(tab);
    if (!ofTab || byCall(ofTab.sending, claim.sending) < 0) this.#ofTab.set(tab, claim);
    if (!this.#last || this.#last.sending.call.invoked.from < from) this.#last = claim;
  }

  /** What was sent after this one, and yet claimed before it. Sends of one tab take effect in the order of the calls. */
  after({ sending }: Claim): Violation<QueueRule>[] {
    const ofTab = this.#ofTab.get(sending.call.invoked.tab);
    const later = [
      ...(ofTab && byCall(sending, ofTab.sending) < 0 ? [ofTab] : []),
      ...(this.#last && isBefore(sending.call, this.#last.sending.call) ? [this.#last] : []),
    ];
    return later.map((other) => ({
      rule: "first in, first out",
      says: `${sending.item.value} was sent before ${other.sending.item.value}, and claimed after it`,
    }));
  }
}

type Place = Pick<Sending | Claim, "call" | "index">;

/** Of one tab. */
function byCall(a: Place, b: Place): number {
  return a.call.invoked.n - b.call.invoked.n || a.index - b.index;
}

/** Sends of one tab take effect in the order of the calls. */
function isSentBefore(a: Sending, b: Sending): boolean {
  return a.call.invoked.tab === b.call.invoked.tab ? byCall(a, b) < 0 : isBefore(a.call, b.call);
}

/**
 * One message of a key at a time, in order of sending: while one is not settled for good, none sent after it is
 * delivered. A delayed one may be overtaken until it is due.
 */
export function keyOrder({ received, sendingOf }: Told): Violation<QueueRule>[] {
  const byKey = grouped(
    received.filter(({ delivery }) => sendingOf.has(delivery.value)),
    ({ delivery }) => sendingOf.get(delivery.value)!.item.orderingKey,
  );
  byKey.delete(undefined);
  const violations: Violation<QueueRule>[] = [];
  for (const [key, ofKey] of byKey) {
    for (const [a, b] of pairs(ofKey)) {
      const rule = brokenBy(a, b, sendingOf);
      if (rule) violations.push({ rule, says: `${a.delivery.value} and ${b.delivery.value} of ${key}` });
    }
  }
  return violations;
}

function brokenBy(a: Received, b: Received, sendingOf: Told["sendingOf"]): QueueRule | undefined {
  const [sentA, sentB] = [sendingOf.get(a.delivery.value)!, sendingOf.get(b.delivery.value)!];
  if (sentA === sentB) return undefined;
  if (heldTogether(a, b)) return "held twice";
  const overtaken =
    (isSentBefore(sentA, sentB) && !sentA.item.delayMs && isUnsettledAfter(a, b)) ||
    (isSentBefore(sentB, sentA) && !sentB.item.delayMs && isUnsettledAfter(b, a));
  return overtaken ? "order of a key" : undefined;
}

/** Whether the earlier message is known to have been unsettled still when the later one had been delivered. */
function isUnsettledAfter(earlier: Received, later: Received): boolean {
  const delivered = later.call.outcome!.at;
  return (
    isBefore(later.call, earlier.call) ||
    earlier.uses.some((use) => resultOf(use) === true && precedes(delivered, use.invoked))
  );
}
