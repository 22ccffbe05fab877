/**
 * The owner lock of a space: one hub at a time works on it.
 *
 *   take() ──▶ queued ──(granted, or stolen from a silent owner)──▶ owned ──(letGo, or stolen from)──▶ take() ...
 *                ▲                                                    │
 *                └──(somebody better is in the queue)──── release ────┘
 *
 * The lock gives liveness: who waits for it waits as long as the owner shows signs of life. The fence in every
 * transaction (store/indexeddb.ts) gives safety: stealing from one that was only frozen does no harm.
 */
import { type Candidate, type Rank, names, parseCandidateLock } from "../protocol/names.js";
import type { ControlChannel } from "./control.js";
import { holdLock } from "./hold-lock.js";
import { outranks } from "./rank.js";

const ASK_EVERY_MS = 1000;
const SILENT_ASKS = 2;
const STEAL_SPREAD_MS = 500;
const LAST_ASK_MS = 100;
/** Without Web Locks nothing queues: one question shows whether there is an owner already. */
const FIRST_ASK_MS = 200;

export interface Owned {
  /** Resolves when another took the space by force. */
  readonly stolen: Promise<void>;
}

/** How a hub comes to own its space, and lets go of it. */
export interface Claim {
  /** Resolves when the space is ours; with undefined when it was let go of meanwhile. */
  take(): Promise<Owned | undefined>;
  /**
   * Lets go of everything, in this very turn: who is frozen a moment later keeps what it has. `unfit`: this build cannot
   * read what the space holds, and should not own it again.
   */
  letGo(unfit?: Error): void;
  /** Asks who owns the space, and says who would like to. */
  ask(): void;
  /** The owner said something. */
  heard(): void;
  /** Somebody else asked who owns the space. `rank`: of one that would like to. */
  asked(rank: Rank | undefined): void;
}

/** The claim of a hub whose tab holds the owner lock: it owns from its first moment, once. */
export function granted(end: (unfit?: Error) => void): Claim {
  let taken = false;
  const never = new Promise<never>(() => {});
  return {
    take() {
      if (taken) return never;
      taken = true;
      return Promise.resolve({ stolen: never });
    },
    letGo: end,
    ask() {},
    heard() {},
    asked() {},
  };
}

interface Lock extends Owned {
  release(): void;
}

export interface OwnershipOptions {
  space: string;
  candidate: Candidate;
  control: ControlChannel;
  /** Asks the owner for signs of life as long as it waits. Tabs do not: they have no timers when idle. */
  watches: boolean;
}

export class Ownership implements Claim {
  readonly #options: OwnershipOptions;
  /** Ends the wait, and lets go of what is owned. */
  #ending = new AbortController();
  #heard: () => unknown = () => {};
  /** Somebody who should rather own this space may be in the queue for it. */
  #outranked = false;
  #steal = (): void => {};

  constructor(options: OwnershipOptions) {
    this.#options = options;
  }

  heard(): void {
    this.#heard();
  }

  asked(rank: Rank | undefined): void {
    if (rank && outranks(rank, this.#options.candidate)) this.#outranked = true;
  }

  ask(): void {
    const { control, candidate } = this.#options;
    const { schema, version } = candidate;
    control.say({ ask: "owner", rank: { schema, version } });
  }

  async take(): Promise<Owned | undefined> {
    const { signal } = (this.#ending = new AbortController());
    const { space, candidate } = this.#options;
    // Says, for as long as we wait or own, that we do, and as what.
    holdLock(names.candidateLock(space, candidate), signal).catch(() => {});
    for (;;) {
      const lock = await this.#win(signal);
      if (lock === undefined) return undefined;
      if (signal.aborted) lock.release();
      else signal.addEventListener("abort", lock.release);
      // Who looks at the locks while a page in the back/forward cache holds one makes Chromium throw that page out; and
      // the one before us may have fallen asleep a moment ago.
      const better = this.#outranked && (await this.#betterWaits());
      if (signal.aborted) return undefined;
      if (!better) return lock;
      lock.release();
    }
  }

  letGo(): void {
    this.#ending.abort();
  }

  /** Takes the space from an owner that does not answer, if it is still waited for and stays silent. */
  async steal(): Promise<void> {
    const go = this.#steal;
    let shown = false;
    this.#heard = () => (shown = true);
    this.ask();
    // Another may have stolen it, and answers by then.
    await pause(LAST_ASK_MS + Math.random() * STEAL_SPREAD_MS);
    if (!shown) go();
  }

  /** Waits for the lock, or takes it from a silent owner. */
  async #win(signal: AbortSignal): Promise<Lock | undefined> {
    const { watches } = this.#options;
    if (!navigator.locks) return (await this.#silence(signal, FIRST_ASK_MS)) ? UNLOCKED : undefined;
    const queued = new AbortController();
    const stop = (): void => queued.abort();
    signal.addEventListener("abort", stop);
    const granted = this.#request({ signal: queued.signal });
    const silent = new Promise<void>((resolve) => {
      this.#steal = resolve;
      if (watches) void this.#silence(queued.signal, ASK_EVERY_MS).then((is) => is && resolve());
    });
    if (!watches) this.ask();
    const lock = await Promise.race([granted, silent]);
    this.#steal = () => {};
    signal.removeEventListener("abort", stop);
    // Asked no more; and if the owner was silent, waited for no more.
    queued.abort();
    if (lock || signal.aborted) return lock || undefined;
    // Who waited before us was not heard.
    this.#outranked = true;
    return this.#request({ steal: true });
  }

  /** Resolves true when the owner gave no sign of life for a while; false when it is asked no more. */
  async #silence(given: AbortSignal, firstMs: number): Promise<boolean> {
    for (let missed = 0, ms = firstMs; missed < SILENT_ASKS; ms = ASK_EVERY_MS) {
      const answered = new Promise<boolean>((resolve) => {
        this.#heard = () => resolve(true);
        setTimeout(() => resolve(false), ms);
      });
      this.ask();
      missed = (await answered) ? 0 : missed + 1;
      if (given.aborted) return false;
      if (missed === 0) await pause(ASK_EVERY_MS);
      if (given.aborted) return false;
    }
    // Several may wait: the first to steal is the next owner, and answers the others' questions.
    await pause(Math.random() * STEAL_SPREAD_MS);
    return !given.aborted;
  }

  /** Resolves with undefined when the signal ended the wait. */
  #request(options: { signal: AbortSignal } | { steal: true }): Promise<Lock | undefined> {
    return new Promise((resolve) => {
      let release!: () => void;
      const held = new Promise<void>((done) => (release = done));
      let lose!: () => void;
      const stolen = new Promise<void>((done) => (lose = done));
      navigator.locks
        .request(names.ownerLock(this.#options.space), options, () => {
          resolve({ stolen, release });
          return held;
        })
        .catch(() => resolve(undefined))
        .finally(lose);
    });
  }

  /** Whether somebody who should rather own this space is in the queue for it. */
  async #betterWaits(): Promise<boolean> {
    if (!navigator.locks) return false;
    const { space, candidate } = this.#options;
    const { held = [], pending = [] } = await navigator.locks.query();
    const queued = new Set(pending.filter(({ name }) => name === names.ownerLock(space)).map((lock) => lock.clientId));
    this.#outranked = held.some(({ name, clientId }) => {
      const other = parseCandidateLock(space, name ?? "");
      return other !== undefined && queued.has(clientId) && outranks(other, candidate);
    });
    return this.#outranked;
  }
}

/** Where there are no locks the fence alone decides. */
const UNLOCKED: Lock = { stolen: new Promise(() => {}), release() {} };

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
