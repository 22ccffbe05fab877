/**
 * A hub: one worker's life. It answers hellos from its first moment on; what it does with calls depends on its role
 * (docs/decisions/0010):
 *
 *   idle ──(a tab)──▶ waiting ──(owner lock)──▶ loading ──▶ ready
 *    ▲                 │  ▲                       │           │ fenced, stolen from, handed over,
 *    └─ its last tab ──┘  └───────────────────────┴───────────┘ storage lost: another epoch
 *       left
 *
 * While it waits it relays the frames of its tabs to the owner. Whenever it takes another role its tabs are told
 * `reset`: they say hello again, and send again what has no answer.
 */
import { type ControlChannel, joinControl } from "../hosting/control.js";
import { holdLock } from "../hosting/hold-lock.js";
import { type Claim, type Owned, Ownership } from "../hosting/ownership.js";
import { outranks } from "../hosting/rank.js";
import type { Control, Owner } from "../protocol/control.js";
import { TabloomError, toWire } from "../protocol/errors.js";
import type {
  CallFrame,
  ClientFrame,
  GoodbyeFrame,
  HelloFrame,
  HubFacade,
  HubState,
  HubStatus,
  ReplyFrame,
  Welcome,
} from "../protocol/frames.js";
import { randomText } from "../protocol/ids.js";
import { PROTOCOL, type Rank, SCHEMA, names } from "../protocol/names.js";
import type { Host } from "./host.js";
import { type Liveness, createLiveness } from "./liveness.js";
import { Reign } from "./reign.js";
import { Uplink } from "./uplink.js";

const RELOAD_DELAY_MS = 200;
const RELOAD_DELAY_MAX_MS = 5000;
/** A hello waits so long for a role to be found; then the tab at least knows that this hub lives. */
const ROLE_WITHIN_MS = 500;

export interface HubOptions {
  space: string;
  /** Default: it waits for the owner lock as long as it has tabs. */
  claim?: Claim;
  /** Its tab is the only one that it will ever know, and nothing of it lasts. */
  alone?: boolean;
}

export class Hub implements HubFacade {
  readonly #space: string;
  readonly #alone: boolean;
  readonly #id = randomText(16);
  readonly #control: ControlChannel | undefined;
  readonly #claim: Claim;
  readonly #hosted: boolean;
  /** The liveness lock is held: before that no tab may look for it. */
  #alive!: Promise<void>;
  /** Tabs on ports of this worker: as long as there is one, it is not frozen. */
  readonly #tabs = new Set<string>();
  readonly #liveness: Liveness;
  /** Ends when it falls asleep, and with it the liveness lock. */
  #awake!: AbortController;
  #arrived = (): void => {};
  #epoch = randomText(16);
  #state: HubState = "waiting";
  #reign: Reign | undefined;
  /** Of the reign, while it runs calls. */
  #host: Host | undefined;
  #uplink: Uplink | undefined;
  /** What waits for this hub to run calls, or to know who does. */
  #waiting: (() => void)[] = [];
  #durable = false;
  #problem: string | undefined;
  /** A newer build keeps this space in a way that this one cannot read: it may relay, and never own. */
  #unfit: TabloomError | undefined;

  constructor({ space, claim, alone = false }: HubOptions) {
    this.#space = space;
    this.#alone = alone;
    this.#liveness = createLiveness(space, (tab) => this.#left(tab));
    this.#wake();
    this.#control = alone ? undefined : joinControl(space, (message) => this.#hear(message));
    this.#hosted = claim !== undefined;
    this.#claim =
      claim ?? new Ownership({ space, candidate: { ...RANK, id: this.#id }, control: this.#control!, watches: true });
    void this.#live();
  }

  /** For a hub that is not its worker's whole life. */
  close(): void {
    this.#sleep();
    this.#liveness.close();
    this.#control?.close();
  }

  call(text: string, relayed = false): Promise<string> {
    const frame = JSON.parse(text) as ClientFrame;
    switch (frame.kind) {
      case "calls":
        return this.#calls(frame, text, relayed);
      case "hello":
        return this.#hello(frame, text, relayed);
      case "goodbye":
        return this.#goodbye(frame, text, relayed);
      case "ping":
        return this.#ping(frame.tab, text);
      case "clock":
        return this.#clock(frame.advanceMs, text);
    }
  }

  async pull(asked: string, relayed = false): Promise<string> {
    const [tab, epoch] = asked.split(" ") as [string, string];
    for (;;) {
      // Asked of an earlier memory, it would take the answers that a later pull of this tab waits for.
      if (this.#host && epoch !== this.#epoch) return this.#reset();
      if (this.#host) return this.#host.knows(tab) ? this.#host.pull(tab) : this.#reset();
      if (relayed && !this.#reign) return this.#reset();
      if (this.#uplink) return (await this.#uplink.ask("pull", asked)) ?? this.#reset();
      await this.#role();
      if (!relayed && !this.#host && !this.#uplink) return this.#unfit ? this.#reset() : this.#tellStatus();
    }
  }

  // --- Frames -----------------------------------------------------------------------------------------------------

  /** Frames of one tab must not overtake each other: with a host, nothing is awaited here. */
  async #calls(frame: CallFrame, text: string, relayed: boolean): Promise<string> {
    for (;;) {
      // Sent to an earlier memory, it may come later than the hello to this one.
      if (this.#host && frame.epoch !== this.#epoch) return this.#reset();
      if (this.#host) return this.#host.knows(frame.tab) ? this.#host.receive(frame) : this.#reset();
      // While it loads all wait, for were one refused, the next might find the host ready and be let in without it.
      if (relayed && !this.#reign) return this.#reset();
      if (this.#uplink) return (await this.#uplink.ask("call", text)) ?? this.#reset();
      // Its next hello is told so, unless somebody fit is found.
      if (this.#unfit) return this.#reset();
      await this.#role();
    }
  }

  async #hello(frame: HelloFrame, text: string, relayed: boolean): Promise<string> {
    if (frame.protocol !== PROTOCOL) {
      throw new TabloomError(
        "VERSION",
        `the hub speaks protocol ${PROTOCOL}, this tab ${frame.protocol}; reload the older one`,
      );
    }
    if (!relayed && !frame.own) this.#arrive(frame.tab);
    await this.#alive;
    for (let patient = true; ;) {
      if (!patient && this.#unfit) throw this.#unfit;
      if (this.#reign || !patient) return JSON.stringify(this.#welcome(frame));
      if (relayed) throw new TabloomError("FENCED", "this hub does not own the space");
      if (this.#uplink) {
        const answer = await this.#askOwner(text);
        // To its tabs a relay is the hub: they watch over it, and it over the owner.
        if (answer) return JSON.stringify({ ...(JSON.parse(answer) as Welcome), hubId: this.#id });
      } else patient = await Promise.race([this.#role().then(() => true), pause(ROLE_WITHIN_MS).then(() => false)]);
    }
  }

  /** Undefined: it is the owner no more. */
  async #askOwner(text: string): Promise<string | undefined> {
    const uplink = this.#uplink!;
    try {
      return await uplink.ask("call", text);
    } catch (error) {
      if (!(error instanceof TabloomError && error.code === "FENCED")) throw error;
      if (this.#uplink === uplink) this.#unfollow();
      return undefined;
    }
  }

  #welcome(frame: HelloFrame): Welcome {
    const admitted = this.#host?.hello(frame) ?? { known: false };
    if (!this.#host) this.#reign?.greeted.push(frame);
    return { ...this.#status(), hubId: this.#id, ...admitted, protocol: PROTOCOL, version: __VERSION__ };
  }

  async #goodbye(frame: GoodbyeFrame, text: string, relayed: boolean): Promise<string> {
    this.#host?.goodbye(frame);
    if (!this.#host && !relayed) void this.#uplink?.ask("call", text);
    if (!relayed) this.#left(frame.tab);
    return "{}";
  }

  async #ping(tab: string, text: string): Promise<string> {
    this.#liveness.beat(tab);
    this.#host?.beat(tab);
    this.#host?.probe();
    const answer = this.#reign ? undefined : await this.#uplink?.ask("call", text);
    return answer ?? JSON.stringify(this.#status());
  }

  async #clock(advanceMs: number, text: string): Promise<string> {
    if (!this.#host && !this.#uplink) await this.#role();
    if (!this.#host) return (await this.#uplink?.ask("call", text)) ?? "{}";
    this.#host.advanceClock(advanceMs);
    return "{}";
  }

  #status(): HubStatus {
    return {
      epoch: this.#epoch,
      state: this.#state,
      durable: this.#durable,
      problem: this.#problem,
      lineage: this.#host?.lineage,
      tabs: this.#host?.tabs ?? 0,
    };
  }

  #reset(): string {
    return JSON.stringify({ epoch: this.#epoch, replies: [], reset: true } satisfies ReplyFrame);
  }

  #tellStatus(): string {
    return JSON.stringify({ epoch: this.#epoch, replies: [], status: this.#status() } satisfies ReplyFrame);
  }

  /** Until this hub runs calls, knows who does, or has something to say about why it does not. */
  #role(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #roleFound(): void {
    for (const go of this.#waiting.splice(0)) go();
  }

  // --- Its tabs ---------------------------------------------------------------------------------------------------

  #arrive(tab: string): void {
    if (this.#alone) return;
    if (this.#awake.signal.aborted) this.#wake();
    this.#tabs.add(tab);
    this.#liveness.watch(tab);
    this.#arrived();
  }

  /**
   * With the last tab everything goes, in this very turn: if that tab sleeps, this worker is about to freeze. Not of a
   * hub that its tab hosts, and ends.
   */
  #left(tab: string): void {
    this.#liveness.unwatch(tab);
    if (this.#tabs.delete(tab) && this.#tabs.size === 0 && !this.#hosted) this.#sleep();
  }

  #wake(): void {
    this.#awake = new AbortController();
    const lock = names.hubLock(this.#space, this.#id);
    this.#alive = this.#alone ? Promise.resolve() : holdLock(lock, this.#awake.signal);
    this.#alive.catch(() => {});
  }

  #sleep(): void {
    this.#depose();
    this.#unfollow();
    this.#claim.letGo();
    this.#awake.abort();
  }

  // --- Its role ---------------------------------------------------------------------------------------------------

  async #live(): Promise<never> {
    for (let delay = RELOAD_DELAY_MS; ;) {
      const owned = await this.#claim.take();
      if (owned) {
        const failed = await this.#own(owned);
        if (failed) await pause(delay);
        delay = failed ? Math.min(RELOAD_DELAY_MAX_MS, delay * 2) : RELOAD_DELAY_MS;
      }
      while (this.#tabs.size === 0 || this.#unfit) await new Promise<void>((resolve) => (this.#arrived = resolve));
    }
  }

  /** Owns the space until it is lost; resolves with true when it could not be loaded. */
  async #own(owned: Owned): Promise<boolean> {
    // Before it is announced: who hears of an owner looks for its lock.
    await this.#alive;
    this.#unfollow();
    const reign = (this.#reign = this.#begin());
    void owned.stolen.then(() => this.#depose(reign));
    let failed = false;
    try {
      await reign.host.load();
      if (this.#reign === reign) this.#rule(reign);
      await reign.over;
    } catch (error) {
      console.error("tabloom: the hub cannot load", toWire(error));
      failed = true;
      if (error instanceof TabloomError && error.code === "VERSION") this.#unfit = error;
      this.#depose(reign);
      this.#troubled("failed", (error as Error).message);
    }
    return failed;
  }

  #begin(): Reign {
    this.#state = "loading";
    const deposed = (): void => this.#depose(reign);
    const reign: Reign = new Reign({
      space: this.#space,
      epoch: this.#epoch,
      alone: this.#alone,
      wasThere: this.#durable,
      relayed: { call: (frame) => this.call(frame, true), pull: (asked) => this.pull(asked, true) },
      onLost: deposed,
      onTabs: () => this.#host?.tellStatus(this.#status()),
      onBlocked: () => {
        this.#control?.say({ wanted: SCHEMA });
        this.#troubled("blocked", "an older build has the storage open: close its tabs, or reload them");
      },
    });
    this.#announce();
    return reign;
  }

  #rule(reign: Reign): void {
    this.#host = reign.host;
    this.#state = "ready";
    reign.ruled = true;
    this.#durable = reign.journal.durable;
    this.#problem = reign.journal.problem;
    for (const frame of reign.greeted) this.#host.hello(frame);
    this.#host.tellStatus(this.#status());
    this.#roleFound();
    if (reign.outranked) void this.#handOver(reign);
  }

  /** Owns no more, from this very turn on. Tabs are told to say hello again. */
  #depose(reign = this.#reign): void {
    if (reign === undefined || reign !== this.#reign) return;
    // Of one that never ran a call tabs may keep what they know: it is the next one's, too.
    if (reign.ruled) this.#epoch = randomText(16);
    this.#reign = undefined;
    this.#host = undefined;
    this.#state = "waiting";
    reign.end();
    this.#claim.letGo(this.#unfit);
    this.#roleFound();
  }

  /** To one who should rather own the space: what runs is finished first, and what comes meanwhile waits. */
  async #handOver(reign: Reign): Promise<void> {
    reign.outranked = true;
    if (!this.#host) return;
    this.#host = undefined;
    await reign.host.drain();
    this.#depose(reign);
  }

  #hear(message: Control): void {
    if ("ask" in message) {
      if (!this.#reign) return this.#claim.asked(message.rank);
      this.#announce();
      if (message.rank && outranks(message.rank, RANK)) void this.#handOver(this.#reign);
    } else if ("owner" in message && !this.#reign) {
      this.#claim.heard();
      // Without a tab there is nothing to relay, and a frozen worker would stand in line for that owner's lock.
      if (this.#tabs.size > 0) this.#follow(message.owner);
    } else if ("starting" in message) this.#claim.heard();
    else if ("wanted" in message && message.wanted > SCHEMA) this.#depose();
  }

  #announce(): void {
    this.#control?.say({ owner: { epoch: this.#epoch, hubId: this.#id } });
  }

  #follow(owner: Owner): void {
    if (this.#uplink?.owner.epoch === owner.epoch) return;
    this.#unfollow();
    this.#uplink = new Uplink(this.#space, owner, () => {
      this.#unfollow();
      this.#claim.ask();
    });
    this.#roleFound();
  }

  #unfollow(): void {
    this.#uplink?.close();
    this.#uplink = undefined;
  }

  /** Tabs that wait hear why. */
  #troubled(state: HubState, problem: string): void {
    this.#state = state;
    this.#problem = problem;
    this.#roleFound();
  }
}

const RANK: Rank = { schema: SCHEMA, version: __VERSION__ };

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
