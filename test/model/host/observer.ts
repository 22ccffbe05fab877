import type { DeadEntry, QueueDelivery, QueuePeek, TopicEvent } from "../../../src/protocol/commands.js";
import { type Made, SimulatedTab, TOPIC } from "./simulated-tab.js";
import type { World } from "./world.js";

export const QUEUES = [0, 1];
export const GROUPS = ["g", "h"];
const ALL = 100_000;

export interface Observed {
  queues: { waiting: QueuePeek[]; dead: DeadEntry[]; drained: QueueDelivery[] }[];
  log: TopicEvent[];
  head: number;
  /** By group: events that are still to be committed. */
  left: Map<string, string[]>;
}

/** One more tab, which looks at everything. */
export class Observer {
  readonly #world: World;
  readonly #tab: SimulatedTab;

  constructor(world: World) {
    this.#world = world;
    this.#tab = new SimulatedTab("observer");
    world.tabs.push(this.#tab);
  }

  /** Without changing anything. */
  async look(): Promise<
    Pick<Observed, "log" | "head"> & { queues: Pick<Observed["queues"][number], "waiting" | "dead">[] }
  > {
    const queues = [];
    for (const ref of QUEUES) {
      const waiting = await this.#value(this.#tab.call(ref, "queue.peek", { limit: ALL }));
      const { entries } = await this.#value(this.#tab.call(ref, "queue.listDead", { limit: ALL }));
      queues.push({ waiting: this.#undamaged(waiting).sort(byId), dead: this.#undamaged(entries).sort(byId) });
    }
    const { events, head } = await this.#value(this.#tab.call(TOPIC, "topic.read", { after: 0, limit: ALL }));
    return { queues, log: events, head };
  }

  /** Takes what can be taken. */
  async drain(): Promise<Pick<Observed, "left"> & { drained: QueueDelivery[][] }> {
    const drained: QueueDelivery[][] = [];
    for (const ref of QUEUES) drained.push(await this.#drainQueue(ref));
    const left = new Map<string, string[]>();
    for (const group of GROUPS) {
      const body = { group, deliveryId: this.#world.id("d") };
      const taken = await this.#value(this.#tab.call(TOPIC, "topic.reclaim", { ...body, minIdleMs: 0, count: ALL }));
      const more = { group, deliveryId: this.#world.id("d"), max: ALL, waitMs: 0 };
      const { deliveries } = await this.#value(this.#tab.call(TOPIC, "topic.claim", more));
      left.set(
        group,
        [...taken.deliveries, ...deliveries].map(({ eventId }) => eventId),
      );
    }
    return { drained, left };
  }

  /** What a hub still knows of a page that the disk lost, the next one does not. */
  #undamaged<Shown extends { messageId: string; data: string; meta?: string }>(shown: Shown[]): Shown[] {
    const { damaged } = this.#world.disk;
    return shown.map(({ meta, ...one }) => {
      const lost = damaged.has(one.messageId);
      return { ...one, ...(lost ? { data: "" } : meta === undefined ? {} : { meta }) } as Shown;
    });
  }

  async #drainQueue(ref: number): Promise<QueueDelivery[]> {
    const drained: QueueDelivery[] = [];
    for (;;) {
      const body = { deliveryId: this.#world.id("d"), max: ALL, waitMs: 0 };
      const deliveries = await this.#value(this.#tab.call(ref, "queue.claim", body));
      if (deliveries.length === 0) return drained;
      drained.push(...deliveries);
      for (const { deliveryId } of deliveries) this.#tab.call(ref, "queue.ack", { deliveryId });
      await this.#world.rest();
    }
  }

  async #value<Value>(made: { outcome: { value: Value } | { error: unknown } | undefined }): Promise<Value> {
    await this.#world.rest();
    const { outcome } = made;
    if (outcome === undefined || "error" in outcome) throw new Error(`${(made as Made).op}: ${String(outcome?.error)}`);
    return outcome.value;
  }
}

function byId(a: { messageId: string }, b: { messageId: string }): number {
  return a.messageId < b.messageId ? -1 : 1;
}
