/** What reached the disk, to hold answers against: none may leave before what it rests on. */
import type { QueueDelivery, TopicDelivery, TopicPublished } from "../../../src/protocol/commands.js";
import type { WireCall, WireReply } from "../../../src/protocol/frames.js";
import type { Batch } from "../../../src/store/journal.js";
import type { Link } from "./simulated-hub.js";

export class Landed {
  /** Answers that left too early. */
  readonly violations: string[];
  records = 0;
  /** By tab: the newest call whose effect is on disk. */
  readonly #applied = new Map<string, number>();
  readonly #deliveries = new Set<string>();

  constructor(violations: string[] = []) {
    this.violations = violations;
  }

  add({ rows }: Batch): void {
    this.records++;
    for (const [key, value] of rows) {
      if (!key.startsWith("0s") || value === undefined) continue;
      const tab = key.slice(2);
      this.#applied.set(tab, Math.max(this.#applied.get(tab) ?? 0, value as number));
    }
    for (const [, id] of JSON.stringify(rows).matchAll(/"(d:[\d.]+)"/g)) this.#deliveries.add(id!);
  }

  /** For a hub that was stolen from: nothing lands for it any more. */
  freeze(): Landed {
    const frozen = new Landed(this.violations);
    frozen.records = this.records;
    for (const [tab, seq] of this.#applied) frozen.#applied.set(tab, seq);
    for (const id of this.#deliveries) frozen.#deliveries.add(id);
    return frozen;
  }

  check({ tab: id, asked, hub }: Link, replies: WireReply[]): void {
    const tab = id.slice(0, id.lastIndexOf("/"));
    for (const [seq, value, error] of replies) {
      const call = asked.get(seq);
      if (call === undefined || error !== undefined) continue;
      const op = call[2];
      if (saysThatItTookEffect(call, value) && !((this.#applied.get(tab) ?? 0) >= seq)) {
        this.violations.push(`${op} #${seq} of ${tab} was answered before it was on disk`);
      }
      for (const { deliveryId } of handedOut(call, value)) {
        if (this.#deliveries.has(deliveryId)) continue;
        // A lease that was over in the turn that took it leaves no row; but the turn was committed.
        if (this.records <= hub.recordsBefore.get(`${id} ${seq}`)!)
          this.violations.push(`${deliveryId} was handed out before its lease was on disk`);
      }
    }
  }
}

function saysThatItTookEffect([, , op]: WireCall, value: unknown): boolean {
  if (op === "queue.send") return value === null;
  if (op === "queue.sendMany") return value === null || (value as unknown[]).includes(null);
  if (op === "queue.ack" || op === "queue.nack" || op === "topic.commit") return value === true;
  if (op === "topic.publish") return (value as TopicPublished).duplicateOf === undefined;
  return false;
}

function handedOut([, , op]: WireCall, value: unknown): { deliveryId: string }[] {
  if (op === "queue.claim") return value as QueueDelivery[];
  if (op === "topic.claim") return (value as { deliveries: TopicDelivery[] }).deliveries;
  return [];
}
