import type { Call } from "./call.js";
import { DueHeap } from "./due-heap.js";

/** Calls that wait at their instances, in lanes, each in order of arrival, until state changes or their time is up. */
export class Parking {
  readonly #waits = new DueHeap<Call>((call, at) => call.parkedIn !== undefined && call.waitUntil === at);
  #newest = 0;

  /** `name`: the lane. A call that parks again after an undo stands before those that came later. */
  park(call: Call, name: string): void {
    const { instance } = call;
    let lane = instance.lanes.get(name);
    if (lane === undefined) instance.lanes.set(name, (lane = new Set()));
    lane.add(call);
    if (call.arrival < this.#newest) {
      const sorted = [...lane].sort((a, b) => a.arrival - b.arrival);
      lane.clear();
      for (const waiter of sorted) lane.add(waiter);
    }
    this.#newest = Math.max(this.#newest, call.arrival);
    instance.waiters++;
    call.parkedIn = name;
    this.#waits.add(call.waitUntil, call);
  }

  /** false when it was not parked. */
  unpark(call: Call): boolean {
    if (call.parkedIn === undefined) return false;
    const { instance } = call;
    const lane = instance.lanes.get(call.parkedIn);
    lane?.delete(call);
    if (lane?.size === 0) instance.lanes.delete(call.parkedIn);
    instance.waiters--;
    call.parkedIn = undefined;
    return true;
  }

  /** A call whose time is up, still parked. */
  overdue(now: number): Call | undefined {
    return this.#waits.take(now);
  }

  dueAt(): number {
    return this.#waits.dueAt();
  }
}
