/** A tab as src/client/hub-backend.ts runs it: the real Calls, a lock, a port to some hub. */
import { Calls, type NewCall } from "../../../src/client/calls.js";
import type { Body, CommandName, OpenBody, Reply } from "../../../src/protocol/commands.js";
import { closedError } from "../../../src/protocol/errors.js";
import type { ReplyFrame } from "../../../src/protocol/frames.js";
import { names } from "../../../src/protocol/names.js";
import { queueNamed, topicNamed } from "../engine-driver.js";
import { type Link, SPACE, type SimulatedHub } from "./simulated-hub.js";

const SECOND = 1000;
const queueLimits = { defaultLeaseMs: 5 * SECOND, maxDeliveries: 3 };

/** By reference number, the same in every tab. */
export const INSTANCES: readonly OpenBody[] = [
  queueNamed("wide", queueLimits),
  queueNamed("narrow", { ...queueLimits, maxMessages: 4, ordering: "ordering_key_partitioned" }),
  topicNamed("events", { maxLen: 100_000, reclaimAfterMs: 5 * SECOND }),
];
export const TOPIC = 2;

/** A call that a tab made, and what it came to for its caller. */
export interface Made<Op extends CommandName = CommandName> {
  readonly tab: SimulatedTab;
  readonly ref: number;
  readonly op: Op;
  readonly body: Body<Op>;
  outcome: { value: Reply<Op> } | { error: { code?: string } } | undefined;
  /** Came after the caller gave up. */
  late?: Reply<Op>;
}

export class SimulatedTab {
  readonly name: string;
  /** In the back/forward cache since then. */
  asleepSince: number | undefined;
  readonly made: Made[] = [];
  /** It died or said goodbye: what it had under way may have happened, or not. */
  gone = false;
  link: Link | undefined;
  readonly parked: AbortController[] = [];
  readonly #calls = new Calls({
    send: (frame) => this.link!.post({ kind: "calls", tab: this.id, epoch: this.link!.hub.epoch, ...frame }),
    onTimeout() {},
  });
  #incarnation = 0;
  #asleepMs: number | undefined;
  /** Instances that this tab ever used, and those that its hub knows of. */
  readonly #used = new Set<number>();
  #opened = new Set<number>();
  #epoch = "";
  #releaseLock = (): void => {};

  constructor(name: string) {
    this.name = name;
    this.#begin();
  }

  get id(): string {
    return `${this.name}/${this.#incarnation}`;
  }

  /** The next incarnation, with a lock of its own. */
  #begin(): void {
    this.#incarnation++;
    void navigator.locks.request(
      names.tabLock(SPACE, this.id),
      () => new Promise<void>((release) => (this.#releaseLock = release)),
    );
  }

  call<Op extends CommandName>(ref: number, op: Op, body: Body<Op>, signal?: AbortSignal): Made<Op> {
    this.#used.add(ref);
    if (!this.#opened.has(ref)) {
      this.#opened.add(ref);
      this.#calls.add(openCall(ref)).catch(() => this.#opened.delete(ref));
    }
    const made: Made<Op> = { tab: this, ref, op, body, outcome: undefined };
    this.made.push(made as unknown as Made);
    const onLate = (late: never): void => this.#handBack(made as unknown as Made, late);
    this.#calls.add({ ref, op, body, options: { signal, onLate } }).then(
      (value) => (made.outcome = { value: value as Reply<Op> }),
      (error: unknown) => (made.outcome = { error: error as { code?: string } }),
    );
    return made;
  }

  connect(hub: SimulatedHub): void {
    const another = this.#epoch !== "" && this.#epoch !== hub.epoch;
    this.#epoch = hub.epoch;
    const { link, ended, forgotten } = hub.connect(this.id, this.#asleepMs);
    if (ended) {
      this.#releaseLock();
      this.#begin();
      return this.connect(hub);
    }
    this.link = link;
    // Also what could not be opened before: calls that need it may be under way.
    this.#opened = new Set(this.#used);
    const reopen = (): void => {
      for (const used of this.#used) this.#calls.add(openCall(used)).catch(() => {});
    };
    this.#calls.resume(reopen, another || forgotten);
    this.link.pull();
  }

  /** Its port leads nowhere: it looks for another hub. */
  disconnect(): void {
    if (this.link) this.link.cut = true;
    this.link = undefined;
    this.#calls.pause();
  }

  reads(): void {
    const { link } = this;
    for (const { text, toPull } of link?.toTab.splice(0) ?? []) {
      if (this.link !== link || this.gone) return;
      const frame = JSON.parse(text) as ReplyFrame;
      this.#calls.settle(frame.replies);
      if (frame.reset) this.disconnect();
      else if (toPull) link!.pull();
    }
  }

  /** Into the back/forward cache: its goodbye may come before its lock falls, or long after. */
  sleep({ goodbyeIsRead }: { goodbyeIsRead: boolean }): void {
    this.link?.post({ kind: "goodbye", tab: this.id, park: true });
    if (goodbyeIsRead) this.link?.hubReads();
    if (this.link) this.link.deserted = true;
    this.link = undefined;
    this.#calls.pause();
    this.#releaseLock();
    this.asleepSince = performance.now();
  }

  wake(): void {
    this.#asleepMs = performance.now() - this.asleepSince!;
    this.asleepSince = undefined;
    this.#begin();
  }

  /** Its process ends: nobody waits for its calls; its port's last frames may still be read. */
  die(): void {
    this.gone = true;
    if (this.link) this.link.deserted = true;
    this.#calls.close(closedError("tab"));
    this.#releaseLock();
  }

  sayGoodbye(): void {
    this.gone = true;
    this.#calls.close(closedError("tab"));
    if (!this.link) return this.#releaseLock();
    this.link.deserted = true;
    this.link.onGoodbye = this.#releaseLock;
    this.link.post({ kind: "goodbye", tab: this.id });
  }

  /** Its hub died with the goodbye unread. */
  releaseLock(): void {
    this.#releaseLock();
  }

  #handBack(made: Made, late: never): void {
    made.late = late;
    if (made.op !== "queue.claim" || this.gone) return;
    const deliveryIds = (late as Reply<"queue.claim">).map(({ deliveryId }) => deliveryId);
    if (deliveryIds.length > 0) this.call(made.ref, "queue.release", { deliveryIds });
  }
}

function openCall(ref: number): NewCall {
  return { ref, op: "instance.open", body: INSTANCES[ref]! };
}
