/**
 * This tab's touch with the hub.
 *
 *   connecting ──(tab lock, worker, hello)──▶ connected ──┐
 *       ▲                                                 │ the hub's lock falls to us, it says reset,
 *       └─────────────────────────────────────────────────┘ or it leaves a ping unanswered for 2 s
 *
 * A hub that is alive but answers nothing cannot be ended from here: after three failed attempts the tab asks for a
 * worker of the next generation, whose hub takes the space over.
 *
 * Where there is no such worker, the tab goes on to the next way of hosting (dialer.ts).
 */
import { TabloomError } from "../protocol/errors.js";
import type { ClientFrame, HelloFrame, HubStatus, Welcome } from "../protocol/frames.js";
import { randomText } from "../protocol/ids.js";
import { PROTOCOL, names } from "../protocol/names.js";
import { holdLock } from "../hosting/hold-lock.js";
import { type ControlChannel, joinControl } from "../hosting/control.js";
import type { HubLink } from "../transport/comlink.js";
import { type Dialer, type Hosting, type HostingMode, WayClosed } from "./dialer.js";

const ANSWER_WITHIN_MS = 2000;
/** A way on which neither an answer came nor a hub is seen by then is closed. */
const FIRST_ANSWER_WITHIN_MS = 3000;
/** Without Web Locks neither side learns of the other's death but by its silence. */
const HEARTBEAT_MS = 5000;
/** Firefox connects who comes within 20 ms of a worker's death to the dead one, and so do all later dials of its name. */
const GRAVE_MS = 60;
const DIAL_AGAIN_MS = 200;
const RETRY_DELAY_MS = 50;
const RETRY_DELAY_MAX_MS = 2000;
const FAILURES_BEFORE_NEXT_GENERATION = 3;
const FAILURES_BEFORE_WARNING = 1;

export interface ConnectionOptions {
  space: string;
  testClock: boolean;
  payloadBudgetBytes: number | undefined;
  ways: Hosting["ways"];
  onConnected(welcome: Welcome, mode: HostingMode): void;
  onDisconnected(): void;
  /** The hub answered a ping. */
  onPong(status: HubStatus): void;
  /** No attempt will succeed: two builds that do not understand each other, or a browser without what is needed. */
  onFailed(error: TabloomError): void;
}

interface Answer {
  link: HubLink;
  text: string;
}

export class Connection {
  /** This tab in its present incarnation (docs/decisions/0012). */
  tab = "";
  readonly #name = randomText(12);
  readonly #options: ConnectionOptions;
  #incarnation = 0;
  /** Ended by `close`, and by the back/forward cache. */
  #life!: AbortController;
  #hiddenAt = 0;
  #asleepMs: number | undefined;
  #link: HubLink | undefined;
  /** Ends the watch over the current hub's life. */
  #watch: AbortController | undefined;
  #epoch: string | undefined;
  #generation = 1;
  #connecting = false;
  #leaving = false;
  /** Which of the ways is tried or taken, and whether a hub ever answered on it. */
  #way = 0;
  #dialer: Dialer | undefined;
  /** Why earlier ways are. */
  #closed: string[] = [];
  #answered = false;
  #heartbeat: ReturnType<typeof setInterval> | undefined;
  /** Where a tab that moved on to another generation says so. */
  #control!: ControlChannel;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    addEventListener("pagehide", this.#onHidden);
    addEventListener("pageshow", this.#onShown);
    globalThis.document?.addEventListener("visibilitychange", this.#onShown);
    if (!navigator.locks) this.#heartbeat = setInterval(() => void this.check(), HEARTBEAT_MS);
    this.#begin();
  }

  #begin(): void {
    const { space, ways } = this.#options;
    this.tab = `${this.#name}/${++this.#incarnation}`;
    this.#life = new AbortController();
    this.#control = joinControl(space, (message) => {
      if ("generation" in message && message.generation > this.#generation) void this.check(message.generation);
      // A frozen tab's worker keeps its locks, even when it was ended: only the next owner tells.
      if ("owner" in message && this.#epoch && this.#dialer!.mode === "elected-tab") {
        if (message.owner.epoch !== this.#epoch) this.reconnect();
      }
    });
    // The hub learns of this tab's death by getting it.
    void holdLock(names.tabLock(space, this.tab), this.#life.signal)
      // An opaque origin shares nothing: only the last way is open.
      .catch(() => {
        if (!this.#life.signal.aborted) this.#way = ways.length - 1;
      })
      .then(() => this.#connect());
  }

  #end(): void {
    this.#drop();
    this.#control.close();
    this.#life.abort();
  }

  get connected(): boolean {
    return this.#watch !== undefined;
  }

  /** Sends a frame to the hub; never resolves when it dies under it. */
  send(frame: ClientFrame): Promise<string> {
    return this.#link ? this.#link.call(JSON.stringify(frame)) : new Promise(() => {});
  }

  pull(epoch: string): Promise<string> {
    return this.#link ? this.#link.pull(`${this.tab} ${epoch}`) : new Promise(() => {});
  }

  /** Connects again, in place. */
  reconnect(afterMs = 0): void {
    if (this.#life.signal.aborted || this.#connecting || this.#leaving) return;
    this.#drop();
    this.#options.onDisconnected();
    void this.#connect(afterMs);
  }

  async close(): Promise<void> {
    removeEventListener("pagehide", this.#onHidden);
    removeEventListener("pageshow", this.#onShown);
    globalThis.document?.removeEventListener("visibilitychange", this.#onShown);
    clearInterval(this.#heartbeat);
    // A hub whose last tab leaves lets its lock go, and says so: it is not looked for any more.
    this.#leaving = true;
    if (this.#link) await Promise.race([this.send({ kind: "goodbye", tab: this.tab }), pause(ANSWER_WITHIN_MS)]);
    this.#end();
    this.#dialer?.close?.();
  }

  async #connect(afterMs = 0): Promise<void> {
    const life = this.#life.signal;
    this.#connecting = true;
    if (afterMs > 0) await pause(afterMs);
    const welcome = await this.#welcome(life);
    if (life.aborted) return;
    this.#connecting = false;
    if (welcome?.ended) {
      this.#asleepMs = undefined;
      this.#end();
      this.#begin();
    } else if (welcome) {
      this.#explain(this.#dialer!);
      this.#options.onConnected(welcome, this.#dialer!.mode);
    }
  }

  /** Tries until a hub answers; undefined when none will, or when this connection is closed. */
  async #welcome(life: AbortSignal): Promise<Welcome | undefined> {
    for (let failures = 0; !life.aborted;) {
      try {
        this.#dialer ??= await this.#options.ways[this.#way]!();
        return await this.#attempt(this.#dialer, life);
      } catch (error) {
        const alive = await this.#hubIsAlive();
        // What there is now belongs to the next incarnation.
        if (life.aborted) break;
        this.#drop();
        if (error instanceof TabloomError && !error.retryable) {
          this.#options.onFailed(error);
          return undefined;
        }
        if (this.#goesOn(error, alive)) failures = 0;
        else if (failures === FAILURES_BEFORE_WARNING) warn(error);
        // Of a live one that does not answer, and of a dead one whose name the browser still connects to its grave.
        const given = ++failures >= FAILURES_BEFORE_NEXT_GENERATION || (this.#answered && !alive);
        if (this.#dialer?.stuck) this.#dialer.stuck(failures);
        else if (given) {
          failures = 0;
          this.#control.say({ generation: ++this.#generation });
        }
        await pause(Math.min(RETRY_DELAY_MAX_MS, RETRY_DELAY_MS * 2 ** failures));
      }
    }
    return undefined;
  }

  /** Leaves a way that is closed for the next one. */
  #goesOn(error: unknown, hubIsAlive: boolean): boolean {
    const closed = error instanceof WayClosed || (!this.#answered && !hubIsAlive && !this.#dialer?.stuck);
    if (!closed || this.#way + 1 >= this.#options.ways.length) return false;
    this.#dialer?.close?.();
    this.#dialer = undefined;
    this.#answered = false;
    this.#way++;
    this.#closed.push(messageOf(error));
    return true;
  }

  /** One warning, once it is known what came of it. */
  #explain(dialer: Dialer): void {
    const why = dialer.remark ? [...this.#closed, dialer.remark] : this.#closed;
    if (why.length > 0) console.warn(`tabloom: ${why.join("; ")}; hosting is "${dialer.mode}", see docs/worker.md`);
    this.#closed = [];
    dialer.remark = undefined;
  }

  /**
   * Dials until a hub answers. A worker that dies under the hello leaves no other trace, and the next dial starts its
   * successor; to one that is only slow it is another port, and the first answer counts.
   */
  async #attempt(dialer: Dialer, life: AbortSignal): Promise<Welcome> {
    const { space, testClock, payloadBudgetBytes } = this.#options;
    const hello: HelloFrame = {
      kind: "hello",
      tab: this.tab,
      protocol: PROTOCOL,
      version: __VERSION__,
      payloadBudgetBytes,
      asleepMs: this.#asleepMs,
      ...(testClock ? { testClock } : {}),
      ...(dialer.own ? { own: true } : {}),
    };
    const links: HubLink[] = [];
    const answers: Promise<Answer | undefined>[] = [
      timeout(this.#answered ? ANSWER_WITHIN_MS : FIRST_ANSWER_WITHIN_MS),
    ];
    try {
      for (;;) {
        life.throwIfAborted();
        const { link, failed } = dialer.dial(names.worker(space, dialer.type ?? "module", this.#generation));
        links.push((this.#link = link));
        answers.push(
          failed,
          this.send(hello).then((text) => ({ link, text })),
        );
        const answer = await Promise.race([...answers, pause(DIAL_AGAIN_MS)]);
        life.throwIfAborted();
        if (!answer) continue;
        this.#link = answer.link;
        this.#answered = true;
        const welcome = JSON.parse(answer.text) as Welcome;
        this.#watchHub(welcome);
        return welcome;
      }
    } finally {
      for (const link of links) if (link !== this.#link) link.close();
    }
  }

  /** A hub holds a lock for as long as it lives: getting it tells of its death within milliseconds. */
  #watchHub({ hubId, epoch }: Welcome): void {
    const watch = new AbortController();
    this.#watch = watch;
    this.#epoch = epoch;
    // In this very thread, with no lock to show for it.
    if (this.#dialer!.mode === "single-tab") return;
    const onEnd = (): void => {
      if (this.#watch !== watch) return;
      this.reconnect(this.#dialer!.mode === "shared-worker" ? GRAVE_MS : 0);
    };
    const ended = this.#dialer!.hubHereEnded?.();
    if (ended) return void ended.then(onEnd);
    navigator.locks?.request(names.hubLock(this.#options.space, hubId), { signal: watch.signal }, onEnd).catch(() => {
      // Aborted: we look at another hub, or at none.
    });
  }

  /** Looks whether the hub is still there; if not, connects again, to this generation or a later one. */
  async check(generation = this.#generation): Promise<void> {
    const watch = this.#watch;
    if (watch === undefined) return;
    try {
      const text = await Promise.race([this.send({ kind: "ping", tab: this.tab }), timeout(ANSWER_WITHIN_MS)]);
      this.#options.onPong(JSON.parse(text) as HubStatus);
    } catch {
      // Another connection may have taken its place meanwhile.
      if (this.#watch !== watch) return;
      this.#generation = Math.max(this.#generation, generation);
      this.reconnect();
    }
  }

  /** Into the back/forward cache: in this very handler everything must go that would keep the page out of it. */
  readonly #onHidden = ({ persisted }: PageTransitionEvent): void => {
    if (!persisted) return;
    void this.send({ kind: "goodbye", tab: this.tab, park: true });
    this.#hiddenAt = performance.now();
    this.#end();
    this.#options.onDisconnected();
  };

  /** A tab that comes back to the front may have slept through its hub's death. */
  readonly #onShown = ({ persisted }: Partial<PageTransitionEvent>): void => {
    if (persisted) {
      this.#asleepMs = performance.now() - this.#hiddenAt;
      this.#begin();
    } else if (document.visibilityState === "visible") void this.check();
  };

  /** Whether some hub of this space runs: then the worker is there, and does not answer. */
  async #hubIsAlive(): Promise<boolean> {
    const { held = [] } = (await navigator.locks?.query().catch(() => undefined)) ?? {};
    return held.some(({ name }) => name?.startsWith(names.hubLock(this.#options.space, "")));
  }

  #drop(): void {
    this.#watch?.abort();
    this.#watch = undefined;
    this.#epoch = undefined;
    this.#link?.close();
    this.#link = undefined;
  }
}

/** Calls wait meanwhile and time out in the end; this says why, and what to do. */
function warn(cause: unknown): void {
  console.warn(`tabloom: no hub yet (${messageOf(cause)}); trying again, see docs/worker.md`);
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

function pause(ms: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), ms));
}

function timeout(ms: number): Promise<never> {
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new TabloomError("TIMEOUT", "the hub did not answer")), ms);
  });
  // Of an attempt that failed before anybody waited for it.
  late.catch(() => {});
  return late;
}
