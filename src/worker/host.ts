import { type Announced, type Settled, noneOf } from "../engine/call.js";
import { Space } from "../engine/space.js";
import { traceOf } from "../engine/trace.js";
import type { Body, OpenBody } from "../protocol/commands.js";
import { TabloomError } from "../protocol/errors.js";
import type { CallFrame, GoodbyeFrame, HelloFrame, HubStatus, Welcome, WireCall } from "../protocol/frames.js";
import { Checkpointer } from "../store/checkpointer.js";
import type { Journal } from "../store/journal.js";
import { Alarm } from "./alarm.js";
import { Checkpoints } from "./checkpoints.js";
import { Committer } from "./committer.js";
import { FanOut } from "./fan-out.js";
import { type Liveness, createLiveness } from "./liveness.js";
import { inSlices } from "./in-slices.js";
import { Outbox } from "./outbox.js";
import { epochError, forgottenError, quotaError } from "./refusals.js";
import { Regroup } from "./regroup.js";
import { type Exchange, type HubCall, takesEffectOnce } from "./hub-call.js";
import type { Session } from "./session.js";
import { type ParkingLimits, Sessions } from "./sessions.js";

export interface HostOptions {
  space: string;
  epoch: string;
  journal: Journal;
  /** The memory of this host is void; a new one must load. */
  onLost(error: TabloomError): void;
  /** A tab came, left or died; called in the same task. */
  onTabs(): void;
  parking?: Partial<ParkingLimits>;
}

/** One epoch of a hub: the space in memory, the tabs in touch, and the journal that makes it last. */
export class Host {
  readonly epoch: string;
  readonly #options: HostOptions;
  readonly #space = new Space();
  readonly #sessions: Sessions;
  readonly #alarm = new Alarm(() => this.#wake());
  readonly #liveness: Liveness;
  readonly #regroup = new Regroup((held) => this.#regrouped(held));
  readonly #fanOut: FanOut;
  readonly #checkpointer: Checkpointer;
  readonly #outbox: Outbox;
  #committer!: Committer;
  #checkpoints!: Checkpoints;
  #lineage: string | undefined;
  #clockOffset = 0;
  #testClock = false;
  #closed = false;

  constructor(options: HostOptions) {
    this.#options = options;
    this.epoch = options.epoch;
    this.#checkpointer = new Checkpointer(options.journal);
    this.#outbox = new Outbox({
      space: this.#space,
      journal: options.journal,
      now: () => this.#now(),
      release: (settled, announced) => this.#release(settled, announced),
      mayRun: (call) => this.#mayRun(call as HubCall) && !this.#committer.defers(call),
      settle: () => this.#settle(),
      onLost: options.onLost,
    });
    this.#fanOut = new FanOut(options.space, options.epoch);
    this.#liveness = createLiveness(options.space, (tab) => this.#died(tab));
    this.#sessions = new Sessions(this.#space, options.parking);
  }

  get tabs(): number {
    return this.#sessions.present;
  }

  /** Names the data; another one than before: everything was deleted in between. "" when nothing is kept. */
  get lineage(): string | undefined {
    return this.#lineage;
  }

  /** Whether the storage still answers: one that is lost ends this host. */
  probe(): void {
    void this.#options.journal.probe?.();
  }

  /** Takes ownership of the storage and rebuilds what was there. */
  async load(): Promise<void> {
    const { journal } = this.#options;
    const loaded = await journal.load();
    this.#lineage = loaded.lineage;
    this.#space.durable = journal.durable;
    const { rows, last } = loaded;
    this.#committer = new Committer({
      space: this.#space,
      journal,
      checkpointer: this.#checkpointer,
      last,
      now: () => this.#now(),
      takeSessionRows: (turn) => this.#sessions.takeRows(turn),
      sessionRowsSettled: (committed) => this.#sessions.rowsSettled(committed),
      release: (settled, announced) => this.#outbox.release(settled, announced),
      runAgain: (call) => this.#runAgain(call as HubCall),
      refuse: (call, error) => this.#refuse(call as HubCall, error),
      takeOrphans: () => this.#takeOrphans(),
      settle: () => this.#settle(),
      onLost: (error) => this.#options.onLost(error),
    });
    this.#checkpoints = new Checkpoints(journal, this.#checkpointer, this.#committer);
    this.#checkpointer.seed(loaded);
    this.#sessions.restore(rows);
    for (const owner of await inSlices(this.#space.restoring(rows))) this.#liveness.watch(owner);
    const living = await this.#regroup.begin(this.#options.space);
    for (const tab of living) this.#liveness.watch(tab);
    this.#sessions.parkAllBut(living, this.#ticks());
    this.#setAlarm();
    this.#checkpoints.soon();
  }

  /** Admits a tab, unless this incarnation of it is over. */
  hello(frame: HelloFrame): Pick<Welcome, "known" | "forgotten" | "ended"> {
    const { tab } = frame;
    if (this.#sessions.hasEnded(tab)) return { known: false, ended: true };
    this.#testClock ||= frame.testClock === true;
    const earlier = this.#sessions.current(tab);
    const known = earlier?.id === tab;
    // Its lock may fall later than its next incarnation comes.
    if (!known && earlier?.present) this.#leave(earlier.id, false);
    const session = this.#sessions.arrive(frame);
    this.#outbox.limit(frame);
    this.#liveness.watch(tab);
    this.#regroup.greeted(tab);
    this.#options.onTabs();
    const forgotten = session.forgotten && (known || earlier === undefined);
    return { known, ...(forgotten ? { forgotten } : {}) };
  }

  /** A sign of life. */
  beat(tab: string): void {
    this.#liveness.beat(tab);
  }

  knows(tab: string): boolean {
    return this.#sessions.find(tab) !== undefined;
  }

  /** Runs a frame's calls; resolves with the first answers among them. */
  receive(frame: CallFrame): Promise<string> {
    const session = this.#sessions.find(frame.tab)!;
    this.#liveness.beat(frame.tab);
    return new Promise((resolve) => {
      const exchange: Exchange = { open: true, replies: [], resolve };
      session.settleBelow(frame.below, frame.waiting ?? []);
      const now = this.#now();
      for (const call of frame.calls) this.#receiveCall(session, call, { exchange, now, lost: frame.lost ?? 0 });
      for (const seq of frame.cancel ?? []) {
        const call = session.find(seq);
        if (call === undefined) continue;
        if (this.#regroup.cancel(call)) this.#space.settle(call, noneOf(call));
        else this.#space.cancel(call, now, true);
        // It may run yet, or again after an undo: then it does not wait.
        call.waitUntil = 0;
      }
      if (!frame.untold) this.#regroup.heard(frame.tab);
      this.#settle();
      session.flush(exchange, this.epoch);
      // Nothing of its own to answer: what it cancelled is answered where it was asked.
      if (frame.calls.length === 0) session.close(exchange, this.epoch);
    });
  }

  pull(tab: string): Promise<string> {
    return this.#sessions.find(tab)!.pull(this.epoch);
  }

  /**
   * The tab leaves by its own will: what it held goes back as if it had not been taken. All that is done at once; what
   * `onTabs` does, too. Returns whether it was in touch until now.
   */
  goodbye({ tab, park }: GoodbyeFrame): boolean {
    const session = this.#sessions.current(tab);
    const left = this.#leave(tab, false);
    if (session && !session.present && !park) this.#sessions.remove(session);
    if (left) this.#options.onTabs();
    return left;
  }

  advanceClock(ms: number): void {
    if (!this.#testClock) throw new TabloomError("UNAVAILABLE", "no tab connected to this hub with testClock");
    this.#clockOffset += ms;
    this.#wake();
  }

  tellStatus(status: HubStatus): void {
    for (const session of this.#sessions) {
      if (!session.present) continue;
      session.tell(status);
      session.flush(undefined, this.epoch);
    }
  }

  /** Runs nothing any more; resolves when what is being committed is, and is answered. To be closed next. */
  drain(): Promise<void> {
    this.#alarm.clear();
    this.#checkpoints.close();
    return this.#committer.drain();
  }

  /** Stops at once: nothing more is answered, tabs are told to say hello again. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    (this.#committer as Committer | undefined)?.stop();
    this.#outbox.stop();
    this.#alarm.clear();
    (this.#checkpoints as Checkpoints | undefined)?.close();
    this.#liveness.close();
    this.#regroup.close();
    this.#fanOut.close();
    this.#options.journal.close();
    for (const session of this.#sessions) session.reset(this.epoch);
  }

  // --- Calls ------------------------------------------------------------------------------------------------------

  #receiveCall(
    session: Session,
    [seq, ref, op, body]: WireCall,
    { exchange, now, lost }: { exchange: Exchange; now: number; lost: number },
  ): void {
    if (session.repeat(seq, exchange)) return;
    try {
      if (op === "instance.open") return this.#open(session, { seq, ref, body: body as OpenBody }, exchange, now);
      const call = this.#makeCall(session, [seq, ref, op, body], exchange, now);
      if (op === "instance.listen") {
        this.#fanOut.listen(session.listening, call.instance.key, (body as Body<"instance.listen">).on);
        session.answer(call, { ok: true, value: null }, this.#space);
        return;
      }
      const earlier = session.rows.recall(call, this.#space);
      if (earlier) {
        // It is on disk already.
        call.noted = true;
        session.answer(call, earlier, this.#space);
      } else if (seq <= lost && takesEffectOnce(call) && (session.forgotten || call.instance.durability === "memory")) {
        const error = session.forgotten ? forgottenError(op) : epochError(op);
        session.answer(call, { ok: false, error }, this.#space);
      } else if (this.#committer.refuses(op, now)) {
        session.answer(call, { ok: false, error: quotaError() }, this.#space);
      } else if (!this.#regroup.holds(call) && !this.#committer.defers(call)) this.#space.run(call, now);
    } catch (error) {
      const call = this.#makeCall(session, [seq, ref, op, body], exchange, now, this.#space.root);
      session.answer(call, { ok: false, error }, this.#space);
    }
  }

  #open(
    session: Session,
    { seq, ref, body }: { seq: number; ref: number; body: OpenBody },
    exchange: Exchange,
    now: number,
  ): void {
    if (!this.#space.has(body.name) && this.#committer.refuses("instance.open", now)) {
      throw session.refuseOpen(ref, quotaError());
    }
    const instance = session.open(ref, body, this.#space, now);
    const call = this.#makeCall(session, [seq, ref, "instance.open", body], exchange, now);
    this.#space.settle(call, { durability: instance.durability });
  }

  /** `instance`: for calls that reached none, what stands for it. */
  #makeCall(
    session: Session,
    [seq, ref, op, body]: WireCall,
    exchange: Exchange,
    now: number,
    instance = session.instance(ref, this.#space, now),
  ): HubCall {
    const waitMs = (body as { waitMs?: number }).waitMs ?? 0;
    const call: HubCall = {
      owner: session.id,
      seq,
      op,
      body,
      instance,
      arrival: 0,
      waitUntil: waitMs > 0 ? now + waitMs : 0,
      parkedIn: undefined,
      session,
      exchange,
      reply: undefined,
      noted: false,
    };
    session.remember(call);
    return call;
  }

  #runAgain(call: HubCall): void {
    if (!this.#mayRun(call)) return;
    if (call.instance.gone) call.session.answer(call, { ok: false, error: quotaError() }, this.#space);
    else this.#space.run(call, this.#now());
    call.session.flush(call.exchange, this.epoch);
  }

  /** Not for who is gone, or has its answer: what it claims would be held by nobody. Such a call is forgotten. */
  #mayRun(call: HubCall): boolean {
    if (!call.reply && call.owner === call.session.id) return true;
    call.session.forget(call);
    return false;
  }

  #regrouped(held: HubCall[]): void {
    const now = this.#now();
    for (const call of held) if (!this.#committer.defers(call)) this.#space.run(call, now);
    this.#settle();
  }

  #refuse(call: HubCall, error: TabloomError): void {
    if (call.reply) return;
    call.noted = false;
    call.session.answer(call, { ok: false, error }, this.#space);
    call.session.flush(call.exchange, this.epoch);
  }

  #takeOrphans(): HubCall[] {
    const orphans = [...this.#sessions].flatMap((session) => session.parked()).filter(({ instance }) => instance.gone);
    for (const call of orphans) this.#space.cancel(call, this.#now(), false);
    return orphans;
  }

  // --- Time, commits, answers -------------------------------------------------------------------------------------

  #now(): number {
    return Date.now() + this.#clockOffset;
  }

  /** A clock that does not step, for what must not be forgotten too early. */
  #ticks(): number {
    return performance.now() + this.#clockOffset;
  }

  #wake(): void {
    this.#space.wake(this.#now());
    this.#sessions.sweep(this.#ticks());
    this.#settle();
  }

  /** After the space moved: commit, answer, set the alarm. */
  #settle(): void {
    if (this.#closed) return;
    this.#committer.flush();
    this.#setAlarm();
  }

  #setAlarm(): void {
    const now = this.#now();
    this.#alarm.set(Math.max(this.#space.dueAt(), this.#committer.restsUntil(now)), now);
    this.#alarm.set(now + this.#sessions.dueAt() - this.#ticks(), now);
  }

  #release(settled: Settled[], announced: Announced[]): void {
    const exchanges = new Map<Exchange, Session>();
    for (const { call, outcome } of settled) {
      const { session, exchange } = call as HubCall;
      session.answer(call as HubCall, outcome, this.#space);
      exchanges.set(exchange, session);
    }
    for (const [exchange, session] of exchanges) session.flush(exchange, this.epoch);
    if (this.#fanOut.hears("")) announced = [...announced, ...traceOf(settled, announced, this.#now())];
    if (announced.length > 0) this.#fanOut.announce(announced);
    this.#checkpoints.committed();
  }

  // --- Tabs -------------------------------------------------------------------------------------------------------

  #died(tab: string): void {
    if (this.#leave(tab, true)) this.#options.onTabs();
  }

  /** One incarnation of a tab is over; its next one may come. Returns whether it was in touch. */
  #leave(tab: string, died: boolean): boolean {
    this.#liveness.unwatch(tab);
    const session = this.#sessions.current(tab);
    const present = session?.id === tab;
    const now = this.#now();
    if (present) {
      for (const call of session.parked()) this.#space.cancel(call, now, false);
      for (const key of [...session.listening]) this.#fanOut.listen(session.listening, key, false);
      // If it is not dead after all, it must come as another.
      if (died) session.reset(this.epoch);
    }
    // Not in touch with this hub: known from an earlier one, and waited for until now.
    if (session && (present || !session.present)) this.#sessions.park(session, this.#ticks());
    this.#space.release({ owner: tab, died }, now);
    this.#regroup.drop(tab);
    this.#settle();
    return present;
  }
}
