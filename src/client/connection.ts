/**
 * The way from this tab to the hub.
 *
 *   connecting ──(tab lock, worker, hello)──▶ connected ──┐
 *       ▲                                                 │ the hub's lock falls to us, it says reset,
 *       └─────────────────────────────────────────────────┘ or it leaves a ping unanswered for 2 s
 *
 * A hub that is alive but answers nothing cannot be ended from here: after three failed attempts the tab asks for a
 * worker of the next generation, whose hub takes the space over.
 */
import { TabloomError } from "../protocol/errors.js";
import type { ClientFrame, HelloFrame, HubStatus, Welcome } from "../protocol/frames.js";
import { randomText } from "../protocol/ids.js";
import { PROTOCOL, names } from "../protocol/names.js";
import { type Broadcast, joinBroadcast } from "../transport/broadcast.js";
import type { HubLink } from "../transport/comlink.js";
import type { Dialer } from "./dialer.js";

const ANSWER_WITHIN_MS = 2000;
const DIAL_AGAIN_MS = 200;
const RETRY_DELAY_MS = 50;
const RETRY_DELAY_MAX_MS = 2000;
const FAILURES_BEFORE_NEXT_GENERATION = 3;
const FAILURES_BEFORE_WARNING = 1;

export interface ConnectionOptions {
  space: string;
  testClock: boolean;
  dialer: Dialer;
  onConnected(welcome: Welcome): void;
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
  /** This tab, and its first incarnation. */
  readonly tab = `${randomText(12)}/1`;
  readonly #options: ConnectionOptions;
  readonly #closing = new AbortController();
  #link: HubLink | undefined;
  /** Ends the watch over the current hub's life. */
  #watch: AbortController | undefined;
  #generation = 1;
  #connecting = false;
  /** Where a tab that moved on to another generation says so. */
  readonly #control: Broadcast;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    addEventListener("pageshow", this.#onShown);
    globalThis.document?.addEventListener("visibilitychange", this.#onShown);
    this.#control = joinBroadcast(names.controlChannel(options.space), (text) => {
      const { generation } = JSON.parse(text) as { generation?: number };
      if (generation !== undefined && generation > this.#generation) void this.check(generation);
    });
    this.#holdTabLock().then(
      () => this.#connect(),
      (cause: unknown) =>
        options.onFailed(
          new TabloomError("UNAVAILABLE", "this page may not use Web Locks: is its origin opaque?", { cause }),
        ),
    );
  }

  get connected(): boolean {
    return this.#watch !== undefined;
  }

  /** Sends a frame to the hub; never resolves when it dies under it. */
  send(frame: ClientFrame): Promise<string> {
    return this.#link ? this.#link.call(JSON.stringify(frame)) : new Promise(() => {});
  }

  pull(): Promise<string> {
    return this.#link ? this.#link.pull(this.tab) : new Promise(() => {});
  }

  /** Connects again, in place. */
  reconnect(): void {
    if (this.#closing.signal.aborted || this.#connecting) return;
    this.#drop();
    this.#options.onDisconnected();
    void this.#connect();
  }

  async close(): Promise<void> {
    removeEventListener("pageshow", this.#onShown);
    globalThis.document?.removeEventListener("visibilitychange", this.#onShown);
    this.#control.close();
    if (this.#link) await Promise.race([this.send({ kind: "goodbye", tab: this.tab }), pause(ANSWER_WITHIN_MS)]);
    this.#drop();
    this.#closing.abort();
  }

  /** Held until this tab dies; the hub learns of its death by getting it. */
  #holdTabLock(): Promise<void> {
    return new Promise((resolve, reject) => {
      navigator.locks
        .request(names.tabLock(this.#options.space, this.tab), () => {
          resolve();
          if (this.#closing.signal.aborted) return undefined;
          return new Promise<void>((release) => this.#closing.signal.addEventListener("abort", () => release()));
        })
        .catch(reject);
    });
  }

  async #connect(): Promise<void> {
    this.#connecting = true;
    const welcome = await this.#welcome();
    this.#connecting = false;
    if (welcome && !this.#closing.signal.aborted) this.#options.onConnected(welcome);
  }

  /** Tries until a hub answers; undefined when none will, or when this connection is closed. */
  async #welcome(): Promise<Welcome | undefined> {
    for (let failures = 0; !this.#closing.signal.aborted;) {
      try {
        return await this.#attempt();
      } catch (error) {
        this.#drop();
        if (error instanceof TabloomError && !error.retryable) {
          this.#options.onFailed(error);
          return undefined;
        }
        if (failures === FAILURES_BEFORE_WARNING) warn(error);
        if (++failures >= FAILURES_BEFORE_NEXT_GENERATION && (await this.#hubIsAlive())) {
          failures = 0;
          this.#control.post(JSON.stringify({ generation: ++this.#generation }));
        }
        await pause(Math.min(RETRY_DELAY_MAX_MS, RETRY_DELAY_MS * 2 ** failures));
      }
    }
    return undefined;
  }

  /**
   * Dials until a hub answers. A worker that dies under the hello leaves no other trace, and the next dial starts its
   * successor; to one that is only slow it is another port, and the first answer counts.
   */
  async #attempt(): Promise<Welcome> {
    const { space, dialer, testClock } = this.#options;
    const hello: HelloFrame = {
      kind: "hello",
      tab: this.tab,
      protocol: PROTOCOL,
      version: __VERSION__,
      ...(testClock ? { testClock } : {}),
      ...(dialer.own ? { own: true } : {}),
    };
    const links: HubLink[] = [];
    const answers: Promise<Answer | undefined>[] = [timeout(ANSWER_WITHIN_MS)];
    try {
      for (;;) {
        const { link, failed } = dialer.dial(names.worker(space, "module", this.#generation));
        links.push((this.#link = link));
        answers.push(
          failed,
          this.send(hello).then((text) => ({ link, text })),
        );
        const answer = await Promise.race([...answers, pause(DIAL_AGAIN_MS)]);
        if (!answer) continue;
        this.#link = answer.link;
        const welcome = JSON.parse(answer.text) as Welcome;
        this.#watchHub(welcome.hubId);
        return welcome;
      }
    } finally {
      for (const link of links) if (link !== this.#link) link.close();
    }
  }

  /** A hub holds a lock for as long as it lives: getting it tells of its death within milliseconds. */
  #watchHub(hubId: string): void {
    const watch = new AbortController();
    this.#watch = watch;
    navigator.locks
      .request(names.hubLock(this.#options.space, hubId), { signal: watch.signal }, () => {
        if (this.#watch === watch) this.reconnect();
      })
      .catch(() => {
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

  /** A tab that comes back to the front may have slept through its hub's death. */
  readonly #onShown = (): void => {
    if (document.visibilityState === "visible") void this.check();
  };

  /** Whether some hub of this space runs: then the worker is there, and does not answer. */
  async #hubIsAlive(): Promise<boolean> {
    const { held = [] } = await navigator.locks.query();
    return held.some(({ name }) => name?.startsWith(names.hubLock(this.#options.space, "")));
  }

  #drop(): void {
    this.#watch?.abort();
    this.#watch = undefined;
    this.#link?.close();
    this.#link = undefined;
  }
}

/** Calls wait meanwhile and time out in the end; this says why, and what to do. */
function warn(cause: unknown): void {
  const reason = cause instanceof Error ? cause.message : String(cause);
  console.warn(`tabloom: no hub yet (${reason}); trying again. If the worker file is not found, see docs/worker.md.`);
}

function pause(ms: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), ms));
}

function timeout(ms: number): Promise<never> {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new TabloomError("TIMEOUT", "the hub did not answer")), ms);
  });
}
