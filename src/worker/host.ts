import type { Announced, Settled } from "../engine/call.js";
import { Space } from "../engine/space.js";
import type { Turn, Write } from "../engine/turn.js";
import type { Body, OpenBody } from "../protocol/commands.js";
import { TabloomError } from "../protocol/errors.js";
import type { CallFrame, HelloFrame, HubStatus, WireCall } from "../protocol/frames.js";
import type { Json } from "../protocol/json.js";
import { Checkpointer } from "../store/checkpointer.js";
import type { Journal } from "../store/journal.js";
import { Alarm } from "./alarm.js";
import { Committer } from "./committer.js";
import { FanOut } from "./fan-out.js";
import { Liveness } from "./liveness.js";
import { type Exchange, type HubCall, Session, parseSessionRow } from "./session.js";

/** A checkpoint begins when nothing was committed for this long, and steps back as soon as something is. */
const CHECKPOINT_IDLE_MS = 500;
const QUIET_MS = 50;
/** When this many rows wait, it goes on between appends, whatever the load. */
const CHECKPOINT_ROWS = 250_000;

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
  /** Tabs that said goodbye or died: late frames of theirs are refused. */
  readonly #ended = new Set<string>();
  readonly #listeners = new Map<string, number>();
  readonly #alarm = new Alarm(() => this.#wake());
  readonly #liveness: Liveness;
  readonly #fanOut: FanOut;
  readonly #checkpointer: Checkpointer;
  #committer!: Committer;
  /** Sessions whose rows are in the append in flight, and rows of sessions that ended. */
  #taking: Session[] = [];
  #removals: Write[] = [];
  #removing: Write[] = [];
  #checkpointTimer: ReturnType<typeof setTimeout> | undefined;
  #committedAt = 0;
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
    for (const session of this.#sessions.values()) if (session.present) present++;
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
      onLost: (error) => this.#options.onLost(error),
    });
    this.#checkpointer.seed(loaded);
    for (const owner of this.#space.restore(rows)) this.#liveness.watch(owner);
    this.#restoreSessions(rows);
    this.#alarm.set(this.#space.dueAt(), this.#now());
    this.#checkpointSoon();
  }

  hello(frame: HelloFrame): void {
    this.#testClock ||= frame.testClock === true;
    this.#ended.delete(frame.tab);
    this.#session(frame.tab).present = true;
    this.#liveness.watch(frame.tab);
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
      session.settleBelow(frame.below);
      const now = this.#now();
      for (const call of frame.calls) this.#receiveCall(session, call, exchange, now);
      for (const seq of frame.cancel ?? []) {
        const call = session.find(seq);
        if (call) this.#space.cancel(call, now, true);
      }
      this.#settle();
      session.flush(exchange, this.epoch);
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
    clearTimeout(this.#checkpointTimer);
    this.#liveness.close();
    this.#fanOut.close();
    this.#options.journal.close();
    for (const session of this.#sessions.values()) session.reset(this.epoch);
  }

  // --- Calls ------------------------------------------------------------------------------------------------------

  #receiveCall(session: Session, [seq, ref, op, body]: WireCall, exchange: Exchange, now: number): void {
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
      } else if (this.#committer.refuses(call, now))
        session.answer(call, { ok: false, error: quotaError() }, this.#space);
      else this.#space.run(call, now);
    } catch (error) {
      const call = this.#callWithoutInstance(session, [seq, ref, op, body], exchange);
      session.answer(call, { ok: false, error }, this.#space);
    }
  }

  #open(
    session: Session,
    { seq, ref, body }: { seq: number; ref: number; body: OpenBody },
    exchange: Exchange,
    now: number,
  ): void {
    const instance = session.open(ref, body, this.#space, now);
    const call = this.#makeCall(session, [seq, ref, "instance.open", body], exchange, now);
    this.#space.settleOpened(call, { ok: true, value: { durability: instance.durability } });
  }

  #makeCall(session: Session, [seq, ref, op, body]: WireCall, exchange: Exchange, now: number): HubCall {
    const waitMs = (body as { waitMs?: number }).waitMs ?? 0;
    const call: HubCall = {
      owner: session.tab,
      seq,
      op,
      body,
      instance: session.instance(ref, this.#space, now),
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

  /** For calls that never reach an instance. */
  #callWithoutInstance(session: Session, [seq, , op, body]: WireCall, exchange: Exchange): HubCall {
    const instance = this.#space.nowhere;
    const call: HubCall = {
      owner: session.tab,
      seq,
      op,
      body,
      instance,
      arrival: 0,
      waitUntil: 0,
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
    call.noted = false;
    if (call.instance.gone) call.session.answer(call, { ok: false, error: quotaError() }, this.#space);
    else this.#space.run(call, this.#now());
    call.session.flush(call.exchange, this.epoch);
  }

  #listen(session: Session, key: string, on: boolean): void {
    if (session.listening.has(key) === on) return;
    if (on) session.listening.add(key);
    else session.listening.delete(key);
    this.#listeners.set(key, (this.#listeners.get(key) ?? 0) + (on ? 1 : -1));
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
    this.#alarm.set(this.#space.dueAt(), this.#now());
    if (this.#checkpointer.backlog >= CHECKPOINT_ROWS) void this.#checkpoint();
  }

  #release(settled: Settled[], announced: Announced[]): void {
    const exchanges = new Map<Exchange, Session>();
    for (const { call, outcome } of settled) {
      const { session, exchange } = call as HubCall;
      session.answer(call as HubCall, outcome, this.#space);
      exchanges.set(exchange, session);
    }
    for (const [exchange, session] of exchanges) session.flush(exchange, this.epoch);
    this.#committedAt = performance.now();
    if (announced.length > 0) this.#fanOut.announce(announced, (key) => (this.#listeners.get(key) ?? 0) > 0);
    this.#checkpointSoon();
  }

  #takeSessionRows(turn: Turn): Write[] {
    const sessions = new Set<Session>();
    for (const { call, outcome } of turn.ran) {
      const { session } = call as HubCall;
      session.note(call as HubCall, outcome, this.#space);
      sessions.add(session);
    }
    this.#taking = [...sessions];
    this.#removing = this.#removals;
    this.#removals = [];
    return [...this.#taking.flatMap((session) => session.takeRows()), ...this.#removing];
  }

  #sessionRowsSettled(committed: boolean): void {
    for (const session of this.#taking) session.rowsSettled(committed);
    if (!committed) this.#removals = [...this.#removing, ...this.#removals];
    this.#taking = [];
    this.#removing = [];
  }

  // --- Tabs -------------------------------------------------------------------------------------------------------

  #end(tab: string, died: boolean): void {
    const session = this.#sessions.get(tab);
    this.#ended.add(tab);
    const now = this.#now();
    if (session) {
      for (const call of session.parked()) this.#space.cancel(call, now, false);
      for (const key of [...session.listening]) this.#listen(session, key, false);
      this.#removals.push(...session.removalRows());
      this.#sessions.delete(tab);
    }
    this.#space.release({ owner: tab, died }, now);
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

  // --- Checkpoints ------------------------------------------------------------------------------------------------

  #checkpointSoon(): void {
    if (!this.#options.journal.durable || this.#closed) return;
    clearTimeout(this.#checkpointTimer);
    this.#checkpointTimer = setTimeout(() => void this.#checkpoint(), CHECKPOINT_IDLE_MS);
  }

  /** Between two slices of a checkpoint: appends go first, and traffic keeps the disk to itself. */
  async #breathe(): Promise<void> {
    await this.#committer.appendDone();
    while (
      !this.#closed &&
      this.#checkpointer.backlog < CHECKPOINT_ROWS &&
      performance.now() - this.#committedAt < QUIET_MS
    ) {
      await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    }
  }

  async #checkpoint(): Promise<void> {
    if (this.#closed || !this.#options.journal.durable) return;
    try {
      await this.#checkpointer.run(() => this.#breathe());
    } catch (error) {
      // The journal still has everything; the next commit tries again. Ownership lost shows there, too.
      if (!(error instanceof TabloomError)) reportError(error);
    }
  }
}

function quotaError(): TabloomError {
  return new TabloomError("QUOTA", "the origin's storage is full");
}
