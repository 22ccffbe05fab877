/**
 * A hub: one worker's life. It answers hellos from its first moment on; what it can do with calls depends on whether
 * it owns the space:
 *
 *   waiting ──(owner lock)──▶ loading ──▶ ready ──┐
 *      ▲                                          │ fenced, storage lost or deleted
 *      └──────────────────────────────────────────┘ (new epoch; tabs say hello again)
 *
 * The owner lock gives liveness: one hub at a time works. The fence in every transaction gives safety: a hub that was
 * stolen from, and does not know it yet, cannot write.
 */
import { PROTOCOL, names } from "../protocol/names.js";
import { TabloomError, toWire } from "../protocol/errors.js";
import type {
  CallFrame,
  ClientFrame,
  HelloFrame,
  HubFacade,
  HubState,
  HubStatus,
  ReplyFrame,
  Welcome,
} from "../protocol/frames.js";
import { randomText } from "../protocol/ids.js";
import { type IndexedDbOptions, createIndexedDbJournal } from "../store/indexeddb.js";
import type { Journal } from "../store/journal.js";
import { createMemoryJournal } from "../store/memory.js";
import { Host } from "./host.js";
import { Ownership } from "./ownership.js";

const RELOAD_DELAY_MS = 200;
const RELOAD_DELAY_MAX_MS = 5000;

export class Hub implements HubFacade {
  readonly #space: string;
  readonly #id = randomText(16);
  readonly #ownership: Ownership;
  #state: HubState = "waiting";
  #epoch = randomText(16);
  #durable = false;
  #host: Host | undefined;
  /** Frames that came before there was a host. */
  #waiting: (() => void)[] = [];
  /** Ends the reign of the current host. */
  #lost: ((error: TabloomError) => void) | undefined;
  /** This worker holds its liveness lock: before that no tab may look for it. */
  readonly #alive: Promise<void>;

  constructor(space: string) {
    this.#space = space;
    this.#ownership = new Ownership(space, () => this.#epoch);
    this.#alive = holdForever(names.hubLock(space, this.#id));
    void this.#reign();
  }

  async call(text: string): Promise<string> {
    const frame = JSON.parse(text) as ClientFrame;
    if (frame.kind === "hello") return JSON.stringify(await this.#hello(frame));
    if (frame.kind === "ping") return JSON.stringify(this.#status());
    if (frame.kind === "goodbye") {
      this.#host?.goodbye(frame.tab);
      return "{}";
    }
    if (frame.kind === "clock") {
      await this.#ready();
      this.#host!.advanceClock(frame.advanceMs);
      return "{}";
    }
    return this.#calls(frame);
  }

  async pull(tab: string): Promise<string> {
    await this.#ready();
    return this.#host!.knows(tab) ? this.#host!.pull(tab) : this.#reset();
  }

  async #calls(frame: CallFrame): Promise<string> {
    // Not awaited when there is a host: frames of one tab must not overtake each other, and this is the hot path.
    if (this.#host === undefined || this.#state !== "ready") await this.#ready();
    return this.#host!.knows(frame.tab) ? this.#host!.receive(frame) : this.#reset();
  }

  async #hello(frame: HelloFrame): Promise<Welcome> {
    if (frame.protocol !== PROTOCOL) {
      throw new TabloomError(
        "VERSION",
        `the hub speaks protocol ${PROTOCOL}, this tab ${frame.protocol}; reload the older one`,
      );
    }
    await this.#alive;
    const known = this.#host?.knows(frame.tab) ?? false;
    const admit = (): void => this.#host!.hello(frame);
    if (this.#state === "ready") admit();
    else this.#waiting.unshift(admit);
    return { ...this.#status(), hubId: this.#id, known, protocol: PROTOCOL, version: __VERSION__ };
  }

  #status(): HubStatus {
    return { epoch: this.#epoch, state: this.#state, durable: this.#durable, tabs: this.#host?.tabs ?? 0 };
  }

  #reset(): string {
    return JSON.stringify({ epoch: this.#epoch, replies: [], reset: true } satisfies ReplyFrame);
  }

  #ready(): Promise<void> {
    if (this.#state === "ready") return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Rules for as long as this worker lives: each pass is one epoch. */
  async #reign(): Promise<never> {
    for (let delay = RELOAD_DELAY_MS; ;) {
      this.#setState("waiting");
      const owned = await this.#ownership.take();
      this.#setState("loading");
      const lost = new Promise<TabloomError>((resolve) => (this.#lost = resolve));
      const host = this.#makeHost();
      let ruled = false;
      try {
        await host.load();
        this.#host = host;
        ruled = true;
        this.#setState("ready");
        for (const go of this.#waiting.splice(0)) go();
        delay = RELOAD_DELAY_MS;
        await Promise.race([lost, owned.stolen]);
      } catch (error) {
        console.error("tabloom: the hub cannot load", toWire(error));
        this.#setState("failed");
        await new Promise((resolve) => setTimeout(resolve, delay));
        delay = Math.min(RELOAD_DELAY_MAX_MS, delay * 2);
      }
      this.#host = undefined;
      // Tabs that said hello to a hub that could not load yet are admitted when it can: under the epoch they know.
      if (ruled) this.#epoch = randomText(16);
      this.#setState("waiting");
      host.close();
      owned.release();
    }
  }

  #makeHost(): Host {
    const epoch = this.#epoch;
    const journal = this.#openJournal({
      space: this.#space,
      epoch,
      onGone: (reason) => this.#lost?.(new TabloomError("STORAGE", `the database is gone: ${reason}`)),
    });
    this.#durable = journal.durable;
    return new Host({
      space: this.#space,
      epoch,
      journal,
      onLost: (error) => this.#lost?.(error),
      onTabs: () => this.#host?.tellStatus(this.#status()),
    });
  }

  #openJournal(options: IndexedDbOptions): Journal {
    if (typeof indexedDB === "object" && indexedDB !== null) return createIndexedDbJournal(options);
    console.warn("tabloom: this browser has no IndexedDB here; nothing will survive a reload");
    return createMemoryJournal();
  }

  #setState(state: HubState): void {
    this.#state = state;
    if (state === "ready") this.#host?.tellStatus(this.#status());
  }
}

/** Holds a lock for as long as this worker lives; resolves once it has it. */
function holdForever(name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    navigator.locks
      .request(name, () => {
        resolve();
        return new Promise<never>(() => {});
      })
      .catch(reject);
  });
}
