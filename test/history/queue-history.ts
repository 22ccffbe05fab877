/** What a queue promised, checked on what tabs saw of it. */
import { keyOrder, sendOrder } from "./queue-order.js";
import {
  type Delivery,
  type QueueHistory,
  type Received,
  type Told,
  type UseCall,
  arrange,
  heldTogether,
} from "./queue-told.js";
import { type Violation, grouped, isUnknown, pairs, resultOf, unanswered } from "./record.js";

export type QueueRule =
  | "unanswered"
  | "phantom"
  | "lost"
  | "applied twice"
  | "settled twice"
  | "delivered after it was settled"
  | "held twice"
  | "attempt counted wrong"
  | "all or none"
  | "one effect per idempotency key"
  | "first in, first out"
  | "order of a key";

export function checkQueue(history: QueueHistory): Violation<QueueRule>[] {
  const told = arrange(history);
  return [
    ...unanswered(history.calls, history.dead),
    ...phantoms(told),
    ...losses(told),
    ...settling(told),
    ...holding(told),
    ...allOrNone(told),
    ...idempotency(told),
    ...(history.ordering === "best_effort" ? sendOrder(told) : keyOrder(told)),
  ];
}

/** Everything that came out was put in, as it came out; and once. */
function phantoms({ received, left, sendingOf }: Told): Violation<QueueRule>[] {
  const violations: Violation<QueueRule>[] = [];
  const idOf = new Map<string, string>();
  for (const { value, messageId, orderingKey } of [
    ...received.map(({ delivery }) => delivery),
    ...left.map((one): Partial<Delivery> & Pick<Delivery, "value" | "messageId"> => one),
  ]) {
    const sending = sendingOf.get(value);
    if (sending === undefined) violations.push({ rule: "phantom", says: `${value} was never sent` });
    else if (sending.fate === "refused" || sending.fate === "duplicate")
      violations.push({ rule: "phantom", says: `${value} is there, and its sender was told: ${sending.fate}` });
    else if (sending.messageId !== undefined && sending.messageId !== messageId)
      violations.push({ rule: "phantom", says: `${value} was sent as ${sending.messageId}, came as ${messageId}` });
    else if (orderingKey !== undefined && orderingKey !== sending.item.orderingKey)
      violations.push({ rule: "phantom", says: `${value} came with the ordering key ${orderingKey}` });
    const other = idOf.get(value) ?? messageId;
    idOf.set(value, other);
    if (other !== messageId)
      violations.push({ rule: "applied twice", says: `${value} became ${other} and ${messageId}` });
  }
  return violations;
}

/** What was accepted, or seen, was acknowledged or is still there. */
function losses({ sendings, received, receivedOf, left }: Told): Violation<QueueRule>[] {
  const there = new Set(left.map(({ value }) => value));
  const accepted = sendings.filter(({ fate }) => fate === "accepted").map(({ item }) => item.value);
  const known = new Set([...accepted, ...received.map(({ delivery }) => delivery.value)]);
  return [...known]
    .filter((value) => !there.has(value) && !mayBeAcknowledged(receivedOf.get(value) ?? []))
    .map((value) => ({ rule: "lost", says: `${value} was neither acknowledged nor is it there` }));
}

function mayBeAcknowledged(received: readonly Received[]): boolean {
  const last = Math.max(...received.map(({ delivery }) => delivery.attempt));
  return received.some(({ delivery, uses }) =>
    uses.some((use) => {
      if (use.op !== "ack") return false;
      // Had an acknowledgement whose answer is missing been in force, there would be no delivery after it.
      return resultOf(use) === true || (isUnknown(use) && delivery.attempt === last);
    }),
  );
}

/** A message is settled for good once, a delivery once, and nothing comes after. */
function settling({ receivedOf, left }: Told): Violation<QueueRule>[] {
  const violations: Violation<QueueRule>[] = [];
  const there = new Set(left.map(({ value }) => value));
  for (const [value, received] of receivedOf) {
    const acked = received.filter(({ uses }) => uses.some((use) => use.op === "ack" && resultOf(use)));
    const ended = received.filter(({ uses }) => uses.some(isLast));
    const settledTwice = received.filter(
      ({ uses }) => uses.filter((use) => use.op !== "touch" && resultOf(use)).length > 1,
    );
    if (ended.length > 1 || settledTwice.length > 0)
      violations.push({ rule: "settled twice", says: `${value} by ${tabsOf([...ended, ...settledTwice])}` });
    const late = received.filter(({ delivery }) => ended.some((end) => end.delivery.attempt < delivery.attempt));
    if (late.length > 0)
      violations.push({
        rule: "delivered after it was settled",
        says: `${value} settled by ${tabsOf(ended)}, delivered to ${tabsOf(late)}`,
      });
    if (acked.length > 0 && there.has(value))
      violations.push({
        rule: "delivered after it was settled",
        says: `${value} acknowledged by ${tabsOf(acked)}, and still there`,
      });
  }
  return violations;
}

/** Acknowledged or given to the dead letters: no delivery may follow. */
function isLast(use: UseCall): boolean {
  return resultOf(use) === true && (use.op === "ack" || (use.op === "nack" && use.args.deadLetter === true));
}

/** Claims are counted one by one, and a message is with one tab at a time. */
function holding({ receivedOf }: Told): Violation<QueueRule>[] {
  const violations: Violation<QueueRule>[] = [];
  for (const [value, received] of receivedOf) {
    const attempts = received.map(({ delivery }) => delivery.attempt);
    if (new Set(attempts).size < attempts.length || Math.min(...attempts) < 1)
      violations.push({ rule: "attempt counted wrong", says: `${value}: ${attempts.join(", ")}` });
    for (const [a, b] of pairs(received)) {
      if (heldTogether(a, b)) violations.push({ rule: "held twice", says: `${value} by ${tabsOf([a, b])} at once` });
    }
  }
  return violations;
}

/** Of an atomic call that nobody heard of again, either every message is there or none. */
function allOrNone({ calls, receivedOf, left }: Told): Violation<QueueRule>[] {
  const there = new Set([...left.map(({ value }) => value), ...receivedOf.keys()]);
  const unheardOf = calls.filter((call) => call.op === "send").filter(isUnknown);
  return unheardOf.flatMap(({ args }): Violation<QueueRule>[] => {
    // One with an idempotency key may have been there before.
    const values = args.items.filter(({ idempotencyKey }) => idempotencyKey === undefined).map(({ value }) => value);
    const missing = values.filter((value) => !there.has(value));
    if (missing.length === 0 || missing.length === values.length) return [];
    return [{ rule: "all or none", says: `of ${values.join(", ")} only ${missing.join(", ")} are missing` }];
  });
}

/** All sends with one key name one message, and there is no other. */
function idempotency({ sendings, receivedOf, left }: Told): Violation<QueueRule>[] {
  const there = new Map([
    ...left.map(({ value, messageId }) => [value, messageId] as const),
    ...[...receivedOf].map(([value, [first]]) => [value, first!.delivery.messageId] as const),
  ]);
  const byKey = grouped(sendings, ({ item }) => item.idempotencyKey);
  return [...byKey].flatMap(([key, sent]): Violation<QueueRule>[] => {
    if (key === undefined) return [];
    const named = sent.flatMap(({ messageId, item }) => [messageId, there.get(item.value)]);
    const ids = new Set(named.filter((id) => id !== undefined));
    const made = sent.filter(({ fate }) => fate === "accepted").length;
    const seen = sent.some(({ item }) => there.has(item.value));
    const ofNothing = made === 0 && !seen && sent.some(({ fate }) => fate === "duplicate");
    if (ids.size <= 1 && made <= 1 && !ofNothing) return [];
    return [
      { rule: "one effect per idempotency key", says: `${key}: ${made} sends accepted, ids ${[...ids].join(", ")}` },
    ];
  });
}

function tabsOf(received: readonly Received[]): string {
  return received.map(({ call, delivery }) => `${call.invoked.tab} (attempt ${delivery.attempt})`).join(", ");
}
