import { type Announced, type Settled, noneOf } from "../engine/call.js";
import { Space } from "../engine/space.js";
import { traceOf } from "../engine/trace.js";
import type { Turn, Write } from "../engine/turn.js";
import type { Body, OpenBody } from "../protocol/commands.js";
import { TabloomError } from "../protocol/errors.js";
import type { CallFrame, HelloFrame, HubStatus, WireCall } from "../protocol/frames.js";
import type { Json } from "../protocol/json.js";
import { Checkpointer } from "../store/checkpointer.js";
import type { Journal } from "../store/journal.js";
import { Alarm } from "./alarm.js";
import { Checkpoints } from "./checkpoints.js";
import { Committer } from "./committer.js";
import { FanOut } from "./fan-out.js";
import { Liveness } from "./liveness.js";
import { Regroup } from "./regroup.js";
import { type Exchange, type HubCall, Session, leavesNoTrace, parseSessionRow } from "./session.js";

export interface HostOptions {
  space: string;
  epoch: string;
  journal: Journal;
  /** The memory of this host is void; a new one must load. */
  onLost(error: TabloomError): void;
  onTabs(): void;
}

/** One epoch of a hub: the space in memory, the tabs in touch, and the journal that makes it last. */
export class Host {
  readonly epoch: string;
  readonly #options: HostOptions;
  readonly #space = new Space();
  readonly #sessions = new Map<string, Session>();
  readonly #listeners = new Map<string, number>();
  readonly #alarm = new Alarm(() => this.#wake());
  readonly #liveness: Liveness;
  readonly #regroup = new Regroup((held) => this.#regrouped(held));
  readonly #fanOut: FanOut;
  readonly #checkpointer: Checkpointer;
  #committer!: Committer;
  /** Sessions whose rows are in the append in flight, their calls in it, and rows of sessions that ended. */
  #taking: Session[] = [];
  #noting: HubCall[] = [];
  #removals: Write[] = [];
  #removing: Write[] = [];
  #checkpoints!: Checkpoints;
  #clockOffset = 0;
  #testClock = false;
  #closed = false;

  constructor(options: HostOptions) {
    this.#options = options;
    this.epoch = options.epoch;
    this.#checkpointer = new Checkpointer(options.journal);
    this.#fanOut = new FanOut(options.space, options.epoch);
    this.#liveness = new Liveness(options.space, (tab) => this.#end(tab, true));
  }

  get tabs(): number {
    let present = 0;
    for (const session of this.#sessions.values()) if (session.present && !session.own) present++;
    return present;
  }

  /** Takes ownership of the storage and rebuilds what was there. */
  async load(): Promise<void> {
    const { journal } = this.#options;
    const loaded = await journal.load();
    const { rows, last } = loaded;
    this.#committer = new Committer({
      space: this.#space,
      journal,
      checkpointer: this.#checkpointer,
      last,
      now: () => this.#now(),
      takeSessionRows: (turn) => this.#takeSessionRows(turn),
      sessionRowsSettled: (committed) => this.#sessionRowsSettled(committed),
      release: (settled, announced) => this.#release(settled, announced),
      runAgain: (call) => this.#runAgain(call as HubCall),
      refuse: (call, error) => this.#refuse(call as HubCall, error),
      takeOrphans: () => this.#takeOrphans(),
      settle: () => this.#settle(),
      onLost: (error) => this.#options.onLost(error),
    });
    this.#checkpoints = new Checkpoints(journal, this.#checkpointer, this.#committer);
    this.#checkpointer.seed(loaded);
    for (const owner of this.#space.restore(rows)) this.#liveness.watch(owner);
    this.#restoreSessions(rows);
    for (const tab of await this.#regroup.begin(this.#options.space)) this.#liveness.watch(tab);
    this.#alarm.set(this.#space.dueAt(), this.#now());
    this.#checkpoints.soon();
  }

  hello(frame: HelloFrame): void {
    this.#testClock ||= frame.testClock === true;
    const session = this.#session(frame.tab);
    session.present = true;
    session.own = frame.own === true;
    this.#liveness.watch(frame.tab);
    this.#regroup.greeted(frame.tab);
    this.#options.onTabs();
  }

  knows(tab: string): boolean {
    return this.#sessions.get(tab)?.present === true;
  }

  /** Runs a frame's calls; resolves with the first answers among them. */
  receive(frame: CallFrame): Promise<string> {
    const session = this.#sessions.get(frame.tab)!;
    return new Promise((resolve) => {
      const exchange: Exchange = { open: true, replies: [], resolve };
      session.settleBelow(frame.below, frame.waiting ?? []);
      const now = this.#now();
      for (const call of frame.calls) this.#receiveCall(session, call, { exchange, now, lost: frame.lost ?? 0 });
      for (const seq of frame.cancel ?? []) {
        const call = session.find(seq);
        if (call && this.#regroup.cancel(call)) this.#space.settle(call, noneOf(call));
        else if (call) this.#space.cancel(call, now, true);
      }
      if (!frame.untold) this.#regroup.heard(frame.tab);
      this.#settle();
      session.flush(exchange, this.epoch);
      // Nothing of its own to answer: what it cancelled is answered where it was asked.
      if (frame.calls.length === 0) session.close(exchange, this.epoch);
    });
  }

  pull(tab: string): Promise<string> {
    return this.#sessions.get(tab)!.pull(this.epoch);
  }

  /** The tab leaves by its own will: what it held goes back as if it had not been taken. */
  goodbye(tab: string): void {
    this.#liveness.unwatch(tab);
    this.#end(tab, false);
  }

  advanceClock(ms: number): void {
    if (!this.#testClock) throw new TabloomError("UNAVAILABLE", "no tab connected to this hub with testClock");
    this.#clockOffset += ms;
    this.#wake();
  }

  tellStatus(status: HubStatus): void {
    for (const session of this.#sessions.values()) {
      session.tell(status);
      session.flush(undefined, this.epoch);
    }
  }

  /** Stops at once: nothing more is answered, tabs are told to say hello again. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    (this.#committer as Committer | undefined)?.stop();
    this.#alarm.clear();
    (this.#checkpoints as Checkpoints | undefined)?.close();
    this.#liveness.close();
    this.#regroup.close();
    this.#fanOut.close();
    this.#options.journal.close();
    for (const session of this.#sessions.values()) session.reset(this.epoch);
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
        this.#listen(session, call.instance.key, (body as Body<"instance.listen">).on);
        session.answer(call, { ok: true, value: null }, this.#space);
        return;
      }
      const earlier = session.recall(call, this.#space);
      if (earlier) {
        // It is on disk already.
        call.noted = true;
        session.answer(call, earlier, this.#space);
      } else if (seq <= lost && leavesNoTrace(call)) {
        session.answer(call, { ok: false, error: epochError(op) }, this.#space);
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
      owner: session.tab,
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
    // Nobody waits for it: what it claims would be held by a tab that is gone, or that has its answer already.
    if (call.reply || !this.#sessions.has(call.owner)) return;
    if (call.instance.gone) call.session.answer(call, { ok: false, error: quotaError() }, this.#space);
    else this.#space.run(call, this.#now());
    call.session.flush(call.exchange, this.epoch);
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
    const orphans = [...this.#sessions.values()]
      .flatMap((session) => session.parked())
      .filter(({ instance }) => instance.gone);
    for (const call of orphans) this.#space.cancel(call, this.#now(), false);
    return orphans;
  }

  #listen(session: Session, key: string, on: boolean): void {
    if (session.listening.has(key) === on) return;
    if (on) session.listening.add(key);
    else session.listening.delete(key);
    const count = (this.#listeners.get(key) ?? 0) + (on ? 1 : -1);
    if (count > 0) this.#listeners.set(key, count);
    else this.#listeners.delete(key);
  }

  // --- Time, commits, answers -------------------------------------------------------------------------------------

  #now(): number {
    return Date.now() + this.#clockOffset;
  }

  #wake(): void {
    this.#space.wake(this.#now());
    this.#settle();
  }

  /** After the space moved: commit, answer, set the alarm. */
  #settle(): void {
    if (this.#closed) return;
    this.#committer.flush();
    const now = this.#now();
    this.#alarm.set(Math.max(this.#space.dueAt(), this.#committer.restsUntil(now)), now);
  }

  #release(settled: Settled[], announced: Announced[]): void {
    const exchanges = new Map<Exchange, Session>();
    for (const { call, outcome } of settled) {
      const { session, exchange } = call as HubCall;
      session.answer(call as HubCall, outcome, this.#space);
      exchanges.set(exchange, session);
    }
    for (const [exchange, session] of exchanges) session.flush(exchange, this.epoch);
    if (this.#listeners.has("")) announced = [...announced, ...traceOf(settled, announced, this.#now())];
    if (announced.length > 0) this.#fanOut.announce(announced, (key) => this.#listeners.has(key));
    this.#checkpoints.committed();
  }

  #takeSessionRows(turn: Turn): Write[] {
    const sessions = new Set<Session>();
    for (const { call, outcome } of turn.ran) {
      const { session } = call as HubCall;
      // The rows of a tab that has left are on their way out.
      if (this.#sessions.get(session.tab) !== session) continue;
      session.note(call as HubCall, outcome, this.#space);
      sessions.add(session);
    }
    this.#noting = turn.ran.map(({ call }) => call as HubCall);
    this.#taking = [...sessions];
    this.#removing = this.#removals;
    this.#removals = [];
    return [...this.#taking.flatMap((session) => session.takeRows()), ...this.#removing];
  }

  #sessionRowsSettled(committed: boolean): void {
    for (const session of this.#taking) session.rowsSettled(committed);
    if (!committed) {
      this.#removals = [...this.#removing, ...this.#removals];
      // What each of them comes to next, a refusal too, is what must be kept.
      for (const call of this.#noting) call.noted = false;
    }
    this.#noting = [];
    this.#taking = [];
    this.#removing = [];
  }

  // --- Tabs -------------------------------------------------------------------------------------------------------

  #end(tab: string, died: boolean): void {
    const session = this.#sessions.get(tab);
    const now = this.#now();
    if (session) {
      for (const call of session.parked()) this.#space.cancel(call, now, false);
      for (const key of [...session.listening]) this.#listen(session, key, false);
      this.#removals.push(...session.removalRows());
      this.#sessions.delete(tab);
    }
    this.#space.release({ owner: tab, died }, now);
    this.#regroup.drop(tab);
    this.#settle();
    if (session?.present) this.#options.onTabs();
  }

  #session(tab: string): Session {
    let session = this.#sessions.get(tab);
    if (session === undefined) this.#sessions.set(tab, (session = new Session(tab)));
    return session;
  }

  #restoreSessions(rows: Map<string, Json>): void {
    for (const [key, value] of rows) {
      const parsed = key.charCodeAt(0) === 48 ? parseSessionRow(key) : undefined;
      if (parsed === undefined) continue;
      this.#session(parsed.tab).restoreRow(parsed.seq, value);
      // If it lives it says hello; if not, its lock falls to us.
      this.#liveness.watch(parsed.tab);
    }
  }
}

function quotaError(): TabloomError {
  return new TabloomError("QUOTA", "the origin's storage is full");
}

function epochError(op: string): TabloomError {
  return new TabloomError("EPOCH_CHANGED", `the hub died while ${op} was under way; its memory-only state is gone`);
}
