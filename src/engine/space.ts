/**
 * A space: all instances of one hub, and the calls that wait at them. Pure and synchronous; a host gives it calls and
 * the time, takes turns out of it, and makes them durable.
 *
 *   call ──▶ run ──▶ settled ──(turn committed)──▶ answered
 *             │ ▲
 *      nothing│ │ state changed, or time came
 *             ▼ │
 *            parked ── waitUntil, cancel, owner gone ──▶ settled with the command's "none", or dropped
 */
import type { Body, CommandName, Durability, InstanceName, OpenBody, Reply } from "../protocol/commands.js";
import { CapacityError, TabloomError } from "../protocol/errors.js";
import type { InstanceEvent } from "../protocol/events.js";
import { instanceKey } from "../protocol/names.js";
import { Alarms } from "./alarms.js";
import { type Announced, type Call, type Outcome, type Settled, noneOf, ruleOf } from "./call.js";
import type { Instance } from "./instance.js";
import {
  Instances,
  type Registration,
  type RestoreOptions,
  changes,
  inMemory,
  registrationOf,
  registrations,
} from "./instances.js";
import { Parking } from "./parking.js";
import { type Attachment, Payloads } from "./payloads.js";
import type { Context, Released, Table } from "./primitive.js";
import { rootInstance } from "./space-rules.js";
import { type AllRows, Turn, finish, isWritten } from "./turn.js";

const MAX_INSTANCES = 100_000;

export interface SpaceOptions {
  /** false: turns are never committed, and nothing is noted for it. */
  durable?: boolean;
}

export class Space implements Context {
  now = 0;
  owner = "";
  waiters = 0;
  readonly attachments: Attachment[] = [];
  /** The turn that is being filled. */
  turn = new Turn(1);
  /** false: turns are never committed, and nothing is noted for it. The host sets it, before anything is opened. */
  durable: boolean;
  /** Every turn up to this one is on disk. The host sets it. */
  committed = 0;
  /** Outcomes and events since the host last took them. */
  settled: Settled[] = [];
  announced: Announced[] = [];
  /** Of messages that wait. The host sets how much of them may be in memory. */
  readonly payloads = new Payloads();
  #current: Instance;
  readonly #root: Instance;
  readonly #instances = new Instances(this.payloads);
  #arrivals = 0;
  #changed = false;
  /** When the call came that runs now. */
  #arrival = 0;
  /** Calls run again that were undone: who waits is served afterwards. */
  #repeating = false;
  /** Instances that a rule of another one changed. */
  readonly #touched = new Set<Instance>();
  /** The turn that was taken last: on its way to disk, or there. */
  #taken: Turn | undefined;
  readonly #alarms = new Alarms();
  readonly #parking = new Parking();

  constructor({ durable = true }: SpaceOptions = {}) {
    this.durable = durable;
    // Registrations are changes of the space itself.
    this.#root = rootInstance(this.#instances);
    this.#current = this.#root;
  }

  // --- What a rule may do (Context) ------------------------------------------------------------------------------

  put<State, Subject, Value>(table: Table<State, Subject, Value>, subject: Subject, value: Value | undefined): void {
    const instance = this.#current;
    const state = instance.state as State;
    const before = table.get(state, subject);
    if (before === undefined && value === undefined) return;
    table.set(state, subject, value);
    this.#changed = true;
    const volatile = !this.durable || !isWritten(table, instance.durability);
    if (volatile && instance.changedIn <= this.committed) return;
    // What is memory only is undone with the turn that it rests on, which may be on its way to disk already.
    const turn = volatile && instance.changedIn !== this.turn.id ? this.#taken! : this.turn;
    turn.changes.push({
      instance,
      table: table as Table<unknown, unknown, unknown>,
      subject,
      before,
      after: value,
      volatile,
    });
    if (volatile) return;
    instance.changedIn = turn.id;
    if (instance.durability === "strict") turn.strict = true;
  }

  call<Op extends CommandName>(other: OpenBody, op: Op, body: Body<Op>): Reply<Op> {
    const { owner, waiters } = this;
    const caller = this.#current;
    const arrival = this.#arrival;
    const instance = this.#instances.find(instanceKey(other.name)) ?? this.#create(other);
    this.#touched.add(instance);
    if (instance.dueAt <= this.now) this.#wakeInstance(instance);
    const outcome = this.#attempt({ instance, op, body, owner: "", arrival });
    this.#arrival = arrival;
    this.#current = caller;
    this.owner = owner;
    this.waiters = waiters;
    if (outcome === undefined) throw new TabloomError("VALIDATION", `${op} may wait; a rule cannot`);
    if (!outcome.ok) throw outcome.error;
    return outcome.value as Reply<Op>;
  }

  emit(event: InstanceEvent, n: number): void {
    const { key, changedIn } = this.#current;
    this.announced.push({ event: { instance: key, n, event }, turn: changedIn > this.committed ? changedIn : 0 });
  }

  waiting(lane: string): number {
    const calls = this.#current.lanes.get(lane);
    const [first] = calls ?? [];
    return first && first.arrival < this.#arrival ? calls!.size : 0;
  }

  // --- Instances --------------------------------------------------------------------------------------------------

  /** Opens an instance: creates it, takes over other limits, or refuses what contradicts it. */
  open(body: OpenBody, now: number): Instance {
    this.now = now;
    const existing = this.#instances.find(instanceKey(body.name));
    if (existing === undefined) return this.#create(body);
    const wanted = this.durable ? body : inMemory(body);
    if (changes(existing, wanted)) this.#reconfigure(existing, wanted);
    return existing;
  }

  /** Settles a call that runs no rule: one that opened an instance, or was given up before its time. */
  settle(call: Call, value: unknown): void {
    this.#settle(call, { ok: true, value });
  }

  /** The space itself: the instance of its own commands, and of calls that never reached another. */
  get root(): Instance {
    return this.#root;
  }

  has(name: InstanceName): boolean {
    return this.#instances.find(instanceKey(name)) !== undefined;
  }

  instances(): Iterable<Instance> {
    return this.#instances.all();
  }

  // --- Calls ------------------------------------------------------------------------------------------------------

  /** Runs a call: it settles into the turn, or parks. */
  run(call: Call, now: number): void {
    this.now = now;
    const { instance } = call;
    if (call.arrival === 0) call.arrival = ++this.#arrivals;
    if (instance.dueAt <= now) {
      this.#wakeInstance(instance);
      // Those who waited for it come first.
      this.#after(instance);
    }
    const outcome = this.#attempt(call);
    if (outcome === undefined) this.#park(call);
    else this.#settle(call, outcome);
    this.#after(instance);
  }

  /** Whether a re-sent call that ran before can be answered without running it. */
  recall(call: Call): unknown {
    const { instance, op, body } = call;
    return ruleOf(instance, op).recall?.(instance.state, body);
  }

  /** Whether `recall` would give this reply. */
  isUsual(call: Call, reply: unknown): boolean {
    return ruleOf(call.instance, call.op).usual?.(reply as Reply<CommandName>) ?? false;
  }

  /** Of a reply that did not leave payloads cannot be read: its call runs again. false: that would not help. */
  unreadable(call: Call, reply: Reply<CommandName>, lost: readonly Attachment[], now: number): boolean {
    const { unreadable } = ruleOf(call.instance, call.op);
    if (!unreadable && !lost.some((attachment) => attachment.isGone())) return false;
    this.now = now;
    this.#enter(call.instance, call.owner);
    unreadable?.(call.instance.state, reply, new Set(lost.map(({ into }) => into)), this);
    this.run(call, now);
    return true;
  }

  /** Gives up a parked call: it settles with nothing, or not at all when its owner is gone. */
  cancel(call: Call, now: number, answer: boolean): void {
    const lane = call.parkedIn;
    if (!this.#parking.unpark(call)) return;
    this.now = now;
    if (answer) this.#settle(call, { ok: true, value: noneOf(call) });
    // Where calls wait for those before them, too, it may have been all that others waited for.
    if (call.instance.primitive.opened) this.#serveAnyway(call.instance, [lane!]);
  }

  /** Frees what a tab held at every instance. Its parked calls are the host's to cancel. */
  release(released: Released, now: number): void {
    this.now = now;
    if (this.durable) this.turn.released.push(released);
    for (const instance of this.#instances.all()) {
      this.#enter(instance, "");
      instance.primitive.release(instance.state, released, this);
      this.#after(instance);
    }
  }

  /** Does what time brings. */
  wake(now: number): void {
    this.now = now;
    for (let instance; (instance = this.#alarms.take(now));) {
      if (instance.dueAt <= now) this.#wakeInstance(instance);
      this.#after(instance);
      this.#alarms.set(instance);
    }
    for (let call; (call = this.#parking.overdue(now));) this.cancel(call, now, true);
  }

  /** When `wake` has something to do, or Infinity. */
  dueAt(): number {
    return Math.min(this.#alarms.dueAt(), this.#parking.dueAt());
  }

  // --- Turns ------------------------------------------------------------------------------------------------------

  /** Takes the turn out; what comes next belongs to another. */
  take(): Turn {
    const { turn } = this;
    this.turn = new Turn(turn.id + 1);
    this.#taken = turn;
    turn.pages = this.payloads.take();
    return turn;
  }

  /**
   * Undoes turns that could not be committed, given oldest first, and forgets the outcomes that rested on them. The
   * host runs their calls again, which are returned in order of arrival; what of them was parked before parks again.
   */
  undo(turns: readonly Turn[]): Call[] {
    const touched = new Set<Instance>();
    for (const turn of [...turns].reverse()) {
      for (const { instance } of turn.changes) touched.add(instance);
      turn.undo();
    }
    this.settled = this.settled.filter(({ turn }) => turn === 0);
    this.announced = this.announced.filter(({ turn }) => turn === 0);
    // Also those whose registration alone was changed: nothing about them is uncommitted any more.
    for (const instance of [this.#root, ...this.#instances.all()]) instance.changedIn = 0;
    for (const instance of touched) if (instance !== this.#root) this.#alarms.set(instance);
    return turns.flatMap(({ ran }) => ran.map(({ call }) => call)).sort((a, b) => a.arrival - b.arrival);
  }

  /** Runs again what was undone. Who waits is served only then: those who had been served may come before them. */
  repeat(run: () => void): void {
    this.#repeating = true;
    run();
    this.#repeating = false;
    for (const instance of this.#instances.all()) this.#serveAnyway(instance, [...instance.lanes.keys()]);
  }

  // --- Rows -------------------------------------------------------------------------------------------------------

  /** Rebuilds every instance from rows, in any order. Returns tabs that hold something. */
  restore(rows: AllRows, options?: RestoreOptions): Set<string> {
    return finish(this.restoring(rows, options));
  }

  /** As `restore`, in steps between which something else may be done. */
  restoring(rows: AllRows, options?: RestoreOptions): Generator<undefined, Set<string>> {
    return this.#instances.restore(rows, (instance) => this.#alarms.set(instance), options);
  }

  // --- Inside -----------------------------------------------------------------------------------------------------

  #create(body: OpenBody): Instance {
    if (this.#instances.size >= MAX_INSTANCES) throw new CapacityError({ bound: "instances", limit: MAX_INSTANCES });
    const instance = this.#instances.make(this.durable ? body : inMemory(body));
    if (this.#isForgotten(instance, body.durability)) this.#instances.add(instance);
    else this.#putRegistration(instance, registrationOf(instance));
    return instance;
  }

  /** Whether nothing of it is ever written. */
  #isForgotten({ primitive }: Instance, durability: Durability): boolean {
    return !this.durable || (durability === "memory" && !primitive.lasting);
  }

  #putRegistration(instance: Instance, registration: Registration): void {
    this.#current = this.#root;
    this.put(registrations, instance, registration);
    instance.changedIn = this.turn.id;
  }

  #reconfigure(instance: Instance, { config, durability }: OpenBody): void {
    const registration = { ...registrationOf(instance), config, durability };
    if (this.#isForgotten(instance, durability)) registrations.set(this.#instances, instance, registration);
    else this.#putRegistration(instance, registration);
    this.#enter(instance, "");
    this.emit({ type: "instance.reconfigured", config }, 0);
    this.#changed = true;
    this.#after(instance);
  }

  #enter(instance: Instance, owner: string): void {
    this.#current = instance;
    this.owner = owner;
    this.waiters = instance.waiters;
  }

  #attempt(call: Pick<Call, "instance" | "op" | "body" | "owner" | "arrival">): Outcome | undefined {
    const { instance, op, body } = call;
    const mark = this.turn.changes.length;
    const { changedIn } = instance;
    this.#enter(instance, call.owner);
    this.#arrival = call.arrival;
    try {
      const value = ruleOf(instance, op).run(instance.state, body, this);
      return value === undefined ? undefined : { ok: true, value };
    } catch (error) {
      // A rule rejects before its first write; should one fail later all the same, it leaves no trace.
      this.turn.undo(mark);
      instance.changedIn = changedIn;
      this.attachments.length = 0;
      return { ok: false, error };
    }
  }

  #settle(call: Call, outcome: Outcome): void {
    const { changedIn } = call.instance;
    const turn = changedIn > this.committed ? changedIn : 0;
    const attachments = this.attachments.length > 0 ? this.attachments.splice(0) : undefined;
    this.settled.push({ call, outcome, turn, attachments });
    if (turn > 0) this.turn.ran.push({ call, outcome });
  }

  #park(call: Call): void {
    const { waits } = ruleOf(call.instance, call.op);
    if (waits && call.waitUntil > this.now) this.#parking.park(call, waits.lane(call.body));
    else this.#settle(call, { ok: true, value: noneOf(call) });
  }

  #wakeInstance(instance: Instance): void {
    this.#enter(instance, "");
    instance.primitive.wake(instance.state, this);
    instance.dueAt = instance.primitive.dueAt(instance.state);
  }

  /** After anything happened at an instance: serve those who wait, and set its alarm. */
  #after(instance: Instance): void {
    if (this.#changed) {
      this.#changed = false;
      const opened = instance.primitive.opened?.(instance.state);
      if (instance.waiters > 0 && !this.#repeating) this.#serve(instance, opened ?? [...instance.lanes.keys()]);
      this.#alarms.set(instance);
    }
    if (this.#touched.size === 0) return;
    const touched = [...this.#touched];
    this.#touched.clear();
    for (const other of touched) {
      this.#changed = true;
      this.#after(other);
    }
  }

  #serve(instance: Instance, lanes: Iterable<string>): void {
    for (const name of lanes) {
      for (const call of instance.lanes.get(name) ?? []) {
        const outcome = this.#attempt(call);
        if (outcome === undefined) break;
        this.#parking.unpark(call);
        this.#settle(call, outcome);
      }
    }
    this.#changed = false;
  }

  /** Also without a change. */
  #serveAnyway(instance: Instance, lanes: Iterable<string>): void {
    if (instance.waiters === 0) return;
    this.#serve(instance, lanes);
    this.#alarms.set(instance);
    this.#after(instance);
  }
}
