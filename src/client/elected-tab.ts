/**
 * Hosting without SharedWorkers: one tab holds the owner lock, and a dedicated worker of it is the hub.
 *
 *   queued ──(owner lock)──▶ hosting ──(stolen from, the hub ended)──▶ queued
 *      ▲                        │
 *      └──(resume, pageshow)── asleep ◀──(freeze, pagehide: in that very handler)
 *
 * The other tabs reach that hub over the BroadcastChannel. A tab in the queue has no timer: that the owner is silent
 * shows when a call of its own goes unanswered.
 */
import { type ControlChannel, joinControl } from "../hosting/control.js";
import { Ownership } from "../hosting/ownership.js";
import { dialRelay } from "../hosting/relay.js";
import { TabloomError } from "../protocol/errors.js";
import { randomText } from "../protocol/ids.js";
import { SCHEMA, names } from "../protocol/names.js";
import { type HubLink, connectHub } from "../transport/comlink.js";
import type { Dialer } from "./dialer.js";

/** A hub that keeps ending is not started more often than this. */
const START_EVERY_MS = 200;
/** How long an owner may take to show itself. */
const ANSWER_WITHIN_MS = 500;
/** A hub that hangs keeps its lock. */
const PREDECESSOR_ENDS_WITHIN_MS = 100;
/** How often in a row a hub may leave a hello unanswered before it is taken for hung. */
const ATTEMPTS_TO_START = 3;

/** The hub beside this tab, or in it. */
export interface HostedHub {
  connect(): HubLink;
  /** It showed itself: errors in its worker from now on are the app's, and do not end it. */
  started?(): void;
  /** Resolves when it ended; with a text when this build cannot read what the space holds. */
  readonly ended: Promise<string | undefined>;
  end(): void;
}

export interface ElectedTabOptions {
  space: string;
  /** Starts the hub that this tab hosts from now on. */
  host(name: string): HostedHub;
}

class ElectedTab implements Dialer {
  readonly mode = "elected-tab";
  remark: string | undefined;
  readonly #options: ElectedTabOptions;
  readonly #candidate = { schema: SCHEMA, version: __VERSION__, id: randomText(16) };
  #ownership!: Ownership;
  #control!: ControlChannel;
  readonly #closing = new AbortController();
  #asleep: { wake(): void } | undefined;
  #name = "";
  /** Why this build cannot host the hub. */
  #unfit: string | undefined;
  /** The owner showed itself since the last time that nobody answered. */
  #heard = false;
  #hosted: HostedHub | undefined;
  /** Ends the watch over the life of the hosted hub; there is one since it said its name. */
  #watch: AbortController | undefined;
  /** Links that do not know yet whom to reach. */
  #seeking: ((reach: () => HubLink) => void)[] = [];
  #sought = (): void => {};

  constructor(options: ElectedTabOptions) {
    this.#options = options;
    this.#join();
    const { signal } = this.#closing;
    for (const type of ["freeze", "pagehide"]) addEventListener(type, this.#sleep, { signal, capture: true });
    for (const type of ["resume", "pageshow"]) addEventListener(type, this.#wake, { signal, capture: true });
  }

  #join(): void {
    const { space } = this.#options;
    this.#control = joinControl(space, (message) => {
      if ("owner" in message || "starting" in message) {
        this.#heard = true;
        this.#ownership.heard();
      }
      if ("ask" in message) this.#ownership.asked(message.rank);
      if ("ask" in message && this.#hosted && !this.#watch) this.#control.say({ starting: true });
      if (!("owner" in message)) return;
      if (this.#hosted) this.#watchOver(this.#hosted, message.owner.hubId);
      else this.#found(() => dialRelay(space, message.owner.epoch));
    });
    this.#ownership = new Ownership({ space, candidate: this.#candidate, control: this.#control, watches: false });
  }

  dial(name: string): { link: HubLink; failed: Promise<never> } {
    if (this.#name === "") {
      this.#name = name;
      void this.#live();
    }
    const reached = new Promise<() => HubLink>((resolve) => {
      if (this.#hosted) resolve(this.#hosted.connect);
      else {
        this.#seeking.push(resolve);
        this.#sought();
      }
    }).then((reach) => reach());
    if (!this.#hosted && !this.#asleep) this.#ownership.ask();
    return { link: lazyLink(reached), failed: this.#unfit ? unfit(this.#unfit) : new Promise(() => {}) };
  }

  hubHereEnded(): Promise<unknown> | undefined {
    return this.#hosted?.ended;
  }

  stuck(attempts: number): void {
    // A worker may be slow to start, so each has longer than the one before. An owner that did not even say that it is
    // there has had ten questions.
    if (this.#hosted && Number.isInteger(Math.log2(attempts / ATTEMPTS_TO_START))) this.#hosted.end();
    if (!this.#hosted && !this.#heard) void this.#ownership.steal();
    this.#heard = false;
  }

  close(): void {
    this.#closing.abort();
    this.#letGo();
    this.#control.close();
  }

  async #live(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      const ownership = this.#ownership;
      const owned = await ownership.take();
      if (owned) await this.#predecessorEnded();
      if (owned && !signal.aborted && !this.#asleep && ownership === this.#ownership) {
        const soonest = performance.now() + START_EVERY_MS;
        const hosted = (this.#hosted = this.#options.host(this.#name));
        this.#found(hosted.connect);
        this.#unfit = (await Promise.race([owned.stolen, hosted.ended])) || undefined;
        this.#letGo();
        // Not again: who can read what is there may come, and is reached like any other owner.
        if (this.#unfit) return;
        if (!this.#asleep) await new Promise((resolve) => setTimeout(resolve, soonest - performance.now()));
      }
      if (this.#asleep) await new Promise<void>((wake) => (this.#asleep!.wake = wake));
    }
  }

  /**
   * This tab looks for a hub, so the last one's lock fell. A page that went into the back/forward cache has its worker's
   * locks for some milliseconds more, and a hub that starts looks at the locks: Chromium then throws that page out.
   */
  async #predecessorEnded(): Promise<void> {
    if (this.#seeking.length > 0) return;
    const sought = new Promise<void>((resolve) => (this.#sought = resolve));
    await Promise.race([sought, new Promise((resolve) => setTimeout(resolve, PREDECESSOR_ENDS_WITHIN_MS))]);
  }

  /** Whether this tab is in touch with its hub or not: nobody else starts another. */
  #watchOver(hosted: HostedHub, hubId: string): void {
    if (this.#watch) return;
    hosted.started?.();
    const { signal } = (this.#watch = new AbortController());
    navigator.locks.request(names.hubLock(this.#options.space, hubId), { signal }, () => hosted.end()).catch(() => {});
  }

  #found(reach: () => HubLink): void {
    for (const go of this.#seeking.splice(0)) go(reach);
  }

  /** Ends the hub and lets the lock go, in this very turn. */
  #letGo(): void {
    const hosted = this.#hosted;
    this.#hosted = undefined;
    // First: a wait that is given up after the hub's end is granted, and a page that falls asleep keeps what it got.
    this.#watch?.abort();
    this.#watch = undefined;
    hosted?.end();
    this.#ownership.letGo();
  }

  /** A channel that is open would keep the page out of the back/forward cache. */
  readonly #sleep = (event: Event): void => {
    if (this.#asleep || (event.type === "pagehide" && !(event as PageTransitionEvent).persisted)) return;
    this.#asleep = { wake() {} };
    this.#letGo();
    this.#control.close();
  };

  readonly #wake = (): void => {
    if (!this.#asleep) return;
    const { wake } = this.#asleep;
    this.#asleep = undefined;
    this.#join();
    wake();
    // Links that were asked for meanwhile.
    if (this.#seeking.length > 0) this.#ownership.ask();
  };
}

export function electedTabDialer(options: ElectedTabOptions): Dialer {
  return new ElectedTab(options);
}

/** The hub in a dedicated worker. `onError`: its script cannot be loaded, or fails as a whole. */
export function hostInWorker(worker: Worker, onError: () => void): HostedHub {
  let over!: (unfit?: string) => void;
  const ended = new Promise<string | undefined>((resolve) => (over = resolve));
  const end = (unfit?: string): void => {
    worker.terminate();
    over(unfit);
  };
  // All that it ever says: it owns the space no more.
  worker.addEventListener("message", ({ data }: MessageEvent<string>) => end(data || undefined));
  const starting = new AbortController();
  const failed = (): void => {
    onError();
    end();
  };
  worker.addEventListener("error", failed, { signal: starting.signal });
  return {
    connect() {
      const { port1, port2 } = new MessageChannel();
      worker.postMessage("connect", [port2]);
      return connectHub(port1);
    },
    started: () => starting.abort(),
    ended,
    end: () => end(),
  };
}

/** An owner that can read what is there would have answered by then. */
async function unfit(why: string): Promise<never> {
  await new Promise((resolve) => setTimeout(resolve, ANSWER_WITHIN_MS));
  throw new TabloomError("VERSION", why);
}

/** A link that can be used before it leads anywhere. */
export function lazyLink(reached: Promise<HubLink>): HubLink {
  return {
    call: async (frame) => (await reached).call(frame),
    pull: async (tab) => (await reached).pull(tab),
    close: () => void reached.then((link) => link.close()),
  };
}
