import { DueHeap } from "./due-heap.js";
import type { Instance } from "./instance.js";

/** When which instance has something to do. Alarms may come early, never late: one that was set is not taken back. */
export class Alarms {
  readonly #alarms = new DueHeap<Instance>((instance, at) => instance.alarmAt === at);

  /** After anything happened at an instance. */
  set(instance: Instance): void {
    instance.dueAt = instance.primitive.dueAt(instance.state);
    if (instance.dueAt >= instance.alarmAt) return;
    instance.alarmAt = instance.dueAt;
    this.#alarms.add(instance.dueAt, instance);
  }

  /** An instance whose alarm rings. */
  take(now: number): Instance | undefined {
    const instance = this.#alarms.take(now);
    if (instance) instance.alarmAt = Infinity;
    return instance;
  }

  dueAt(): number {
    return this.#alarms.dueAt();
  }
}
