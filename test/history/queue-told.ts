/** The history of a queue: what tabs saw, arranged by what happened to each message. */
import { type Call, grouped, isBefore, isUnknown, resultOf } from "./record.js";

/** A message as a tab sent it. Its value is its name in the history: no two are alike. */
export interface Item {
  readonly value: string;
  readonly idempotencyKey?: string;
  readonly orderingKey?: string;
  readonly priority?: number;
  readonly delayMs?: number;
}

/** A message as a tab received it. */
export interface Delivery {
  readonly value: string;
  readonly messageId: string;
  readonly deliveryId: string;
  readonly attempt: number;
  readonly orderingKey?: string;
}

/** Several items in one call: all or none. */
export type SendCall = Call<"send", { items: readonly Item[] }, readonly { messageId: string; duplicate: boolean }[]>;
export type RecvCall = Call<"recv", object, readonly Delivery[]>;
export type UseCall =
  | Call<"ack" | "touch", { deliveryId: string }, boolean>
  | Call<"nack", { deliveryId: string; deadLetter?: boolean; delayMs?: number }, boolean>;
export type QueueCall = SendCall | RecvCall | UseCall;

export interface QueueHistory {
  readonly ordering: "best_effort" | "ordering_key_partitioned";
  readonly calls: readonly QueueCall[];
  /** Tabs that died: what became of their last calls is unknown. */
  readonly dead: readonly string[];
  /** What was found in the queue and among the dead letters when all was over. */
  readonly left: readonly Pick<Delivery, "value" | "messageId">[];
}

/** An item, and what came of sending it. */
export interface Sending {
  readonly item: Item;
  readonly call: SendCall;
  readonly index: number;
  readonly fate: "accepted" | "duplicate" | "refused" | "unknown";
  /** Of the message it made, or that its idempotency key had made before. */
  readonly messageId?: string;
}

/** A delivery, and what its tab did with it. */
export interface Received {
  readonly delivery: Delivery;
  readonly call: RecvCall;
  readonly index: number;
  readonly uses: readonly UseCall[];
}

/** The history, arranged by what happened to each message. */
export interface Told extends QueueHistory {
  readonly sendings: readonly Sending[];
  readonly received: readonly Received[];
  readonly sendingOf: ReadonlyMap<string, Sending>;
  readonly receivedOf: ReadonlyMap<string, readonly Received[]>;
}

export function arrange(history: QueueHistory): Told {
  const { calls } = history;
  const sendings = calls.filter((call) => call.op === "send").flatMap(sendingsOf);
  const uses = grouped(calls.filter(isUse), ({ args }) => args.deliveryId);
  const received = calls
    .filter((call) => call.op === "recv")
    .flatMap((call) =>
      (resultOf(call) ?? []).map((delivery, index) => ({
        delivery,
        call,
        index,
        uses: uses.get(delivery.deliveryId) ?? [],
      })),
    );
  return {
    ...history,
    sendings,
    received,
    sendingOf: new Map(sendings.map((sending) => [sending.item.value, sending])),
    receivedOf: grouped(received, ({ delivery }) => delivery.value),
  };
}

function isUse(call: QueueCall): call is UseCall {
  return call.op !== "send" && call.op !== "recv";
}

function sendingsOf(call: SendCall): Sending[] {
  const replies = resultOf(call);
  return call.args.items.map((item, index) => {
    const sending = { item, call, index };
    if (replies === undefined) return { ...sending, fate: isUnknown(call) ? "unknown" : "refused" };
    const { messageId, duplicate } = replies[index]!;
    return { ...sending, fate: duplicate ? "duplicate" : "accepted", messageId };
  });
}

/** Whether both are known to have been held at some moment: received, and later found to be still its tab's. */
export function heldTogether(a: Received, b: Received): boolean {
  return isHeldAfter(a, b) && isHeldAfter(b, a);
}

function isHeldAfter(a: Received, b: Received): boolean {
  return a.uses.some((use) => resultOf(use) === true && isBefore(b.call, use));
}
