/**
 * Every tab that this hub knows (docs/decisions/0012):
 *
 *              hello ──▶ present ──(sleeps, or died)──▶ parked ──(10 min, or too many)──▶ gone
 *                         │  ▲                           │  │
 *                 goodbye │  └──(hello of a later life)──┘  └──(goodbye)──▶ gone
 *                         ▼
 *                        gone
 */
import type { Space } from "../engine/space.js";
import type { Turn, Write } from "../engine/turn.js";
import type { HelloFrame } from "../protocol/frames.js";
import type { Json } from "../protocol/json.js";
import { parseTabId } from "../protocol/tab-id.js";
import type { HubCall } from "./hub-call.js";
import { Session } from "./session.js";
import { parseSessionRow } from "./session-rows.js";

export interface ParkingLimits {
  /** How long a parked tab is remembered. */
  keepMs: number;
  /** Parked tabs, and the replies that are kept for them all. Beyond, those that were parked first are forgotten. */
  sessions: number;
  replies: number;
}

const LIMITS: ParkingLimits = { keepMs: 600_000, sessions: 1000, replies: 20_000 };
/** The tab and its hub measure how long it slept, neither exactly. */
const SLACK_MS = 60_000;
const CROWDED = "0c";

export class Sessions {
  readonly #space: Space;
  readonly #limits: ParkingLimits;
  readonly #byName = new Map<string, Session>();
  /** Since when, of the clock that `park` is given; oldest first. */
  readonly #parked = new Map<Session, number>();
  /** Until when tabs may come back that were forgotten before their time, of the system's clock: a hub's death must not hide it. */
  #crowdedUntil = 0;
  /** Whose rows are in the append in flight, their calls in it, and rows of sessions that ended. */
  #taking: Session[] = [];
  #noting: HubCall[] = [];
  #removals: Write[] = [];
  #removing: Write[] = [];

  constructor(space: Space, limits: Partial<ParkingLimits> = {}) {
    this.#space = space;
    this.#limits = { ...LIMITS, ...limits };
  }

  [Symbol.iterator](): Iterator<Session> {
    return this.#byName.values();
  }

  /** Tabs in touch with the hub. */
  get present(): number {
    let present = 0;
    for (const session of this.#byName.values()) if (session.present && !session.own) present++;
    return present;
  }

  /** The session of this incarnation, while it is in touch. */
  find(tab: string): Session | undefined {
    const session = this.#byName.get(parseTabId(tab).name);
    return session?.id === tab ? session : undefined;
  }

  /** The session of the tab, if this incarnation is not over. undefined also when nothing is known of it. */
  current(tab: string): Session | undefined {
    const { name, incarnation } = parseTabId(tab);
    const session = this.#byName.get(name);
    return session && session.incarnation <= incarnation ? session : undefined;
  }

  /** Whether this incarnation is over: it left, was taken for dead, or a later one came. */
  hasEnded(tab: string): boolean {
    const { name, incarnation } = parseTabId(tab);
    const session = this.#byName.get(name);
    if (session === undefined || session.id === tab) return false;
    return incarnation <= session.incarnation;
  }

  /** Its earlier incarnation, if there was one, has left. */
  arrive({ tab, own, asleepMs = Infinity }: HelloFrame): Session {
    const { name, incarnation } = parseTabId(tab);
    const known = this.#byName.has(name);
    const session = this.#session(name);
    // What left no trace did not run, unless the traces may be gone.
    session.forgotten ||=
      !known && incarnation > 1 && (Date.now() < this.#crowdedUntil || asleepMs > this.#limits.keepMs);
    this.#parked.delete(session);
    session.arrive(tab, incarnation, own === true);
    return session;
  }

  /** Remembers what the next incarnation of the tab may ask for. */
  park(session: Session, now: number): void {
    if (this.#parked.has(session)) return;
    session.leave();
    this.#parked.set(session, now);
    this.#forgetMany();
  }

  /** Forgets a tab for good. */
  remove(session: Session): void {
    this.#removals.push(...session.rows.removal());
    session.id = "";
    this.#parked.delete(session);
    this.#byName.delete(session.name);
  }

  // --- Time -------------------------------------------------------------------------------------------------------

  /** Forgets the tabs that are parked for too long. */
  sweep(now: number): void {
    for (const [session, since] of this.#parked) {
      if (since + this.#limits.keepMs + SLACK_MS > now) return;
      this.remove(session);
    }
  }

  /** When `sweep` has something to do, or Infinity. */
  dueAt(): number {
    for (const since of this.#parked.values()) return since + this.#limits.keepMs + SLACK_MS;
    return Infinity;
  }

  #forgetMany(): void {
    let replies = 0;
    for (const session of this.#parked.keys()) replies += session.replies;
    for (const session of this.#parked.keys()) {
      if (this.#parked.size <= this.#limits.sessions && replies <= this.#limits.replies) return;
      replies -= session.replies;
      this.remove(session);
      const fresh = this.#crowdedUntil === 0;
      this.#crowdedUntil = Date.now() + this.#limits.keepMs + SLACK_MS;
      this.#removals.push({ key: CROWDED, value: this.#crowdedUntil, fresh });
    }
  }

  // --- Rows -------------------------------------------------------------------------------------------------------

  /** Sessions of earlier hubs: their tabs live, sleep or are gone. */
  restore(rows: Map<string, Json>): void {
    this.#crowdedUntil = (rows.get(CROWDED) ?? 0) as number;
    for (const [key, value] of rows) {
      const parsed = key.charCodeAt(0) === 48 ? parseSessionRow(key) : undefined;
      if (parsed) this.#session(parsed.tab).rows.restore(parsed.seq, value);
    }
  }

  /** Of restored sessions: those of tabs that do not live are parked. */
  parkAllBut(living: Iterable<string>, now: number): void {
    const names = new Set(Array.from(living, (tab) => parseTabId(tab).name));
    for (const session of [...this.#byName.values()]) {
      if (!session.present && !names.has(session.name)) this.park(session, now);
    }
  }

  /** The rows of those that took part in a turn, for the record of its commit. */
  takeRows(turn: Turn): Write[] {
    const sessions = new Set<Session>();
    for (const { call, outcome } of turn.ran) {
      const { session } = call as HubCall;
      // The rows of a tab that has left for good are on their way out.
      if (this.#byName.get(session.name) !== session) continue;
      session.rows.note(call as HubCall, outcome, this.#space);
      sessions.add(session);
    }
    this.#noting = turn.ran.map(({ call }) => call as HubCall);
    this.#taking = [...sessions];
    this.#removing = this.#removals;
    this.#removals = [];
    const writes = new Map(this.#removing.map((write) => [write.key, write]));
    for (const write of this.#taking.flatMap((session) => session.takeRows())) {
      // Of a tab that came back after it was forgotten: what is on disk is not gone yet.
      writes.set(write.key, writes.has(write.key) ? { ...write, fresh: false } : write);
    }
    return [...writes.values()];
  }

  /** The append that took them is done, one way or the other. */
  rowsSettled(committed: boolean): void {
    for (const session of this.#taking) session.rows.settled(committed);
    if (!committed) {
      this.#removals = [...this.#removing, ...this.#removals];
      // What each of them comes to next, a refusal too, is what must be kept.
      for (const call of this.#noting) call.noted = false;
    }
    this.#noting = [];
    this.#taking = [];
    this.#removing = [];
  }

  #session(name: string): Session {
    let session = this.#byName.get(name);
    if (session === undefined) this.#byName.set(name, (session = new Session(name)));
    return session;
  }
}
