/** A hub as src/worker/hub.ts runs it, around the real Host, and the ports that tabs have to it. */
import type { CallFrame, GoodbyeFrame, ReplyFrame, WireCall } from "../../../src/protocol/frames.js";
import { PROTOCOL } from "../../../src/protocol/names.js";
import { Host } from "../../../src/worker/host.js";
import type { Landed } from "./landed.js";
import type { Disk } from "./held-journal.js";

export const SPACE = "test";
const PULL = "pull";

interface Reply {
  text: string;
  toPull: boolean;
}

/** A port: what was posted on either side and not read yet. Whatever dies cuts it. */
export class Link {
  readonly hub: SimulatedHub;
  readonly tab: string;
  readonly asked = new Map<number, WireCall>();
  toHub: string[] = [];
  toTab: Reply[] = [];
  cut = false;
  /** Nobody waits at the other end any more. */
  deserted = false;
  onGoodbye = (): void => {};

  constructor(hub: SimulatedHub, tab: string) {
    this.hub = hub;
    this.tab = tab;
  }

  post(frame: CallFrame | GoodbyeFrame): void {
    if (!this.cut) this.toHub.push(JSON.stringify(frame));
  }

  pull(): void {
    if (!this.cut) this.toHub.push(PULL);
  }

  /** The hub reads what is there. */
  hubReads(): void {
    for (const item of this.toHub.splice(0)) {
      if (item === PULL) this.#answer(this.hub.pull(this.tab), true);
      else {
        const frame = JSON.parse(item) as CallFrame | GoodbyeFrame;
        if (frame.kind === "goodbye") {
          this.hub.goodbye(frame);
          if (!frame.park) this.onGoodbye();
        } else {
          for (const call of frame.calls) this.#note(call);
          this.#answer(this.hub.call(frame), false);
        }
      }
    }
  }

  #note(call: WireCall): void {
    const [seq] = call;
    this.asked.set(seq, call);
    const id = `${this.tab} ${seq}`;
    if (!this.hub.recordsBefore.has(id)) this.hub.recordsBefore.set(id, this.hub.landed.records);
  }

  #answer(answer: Promise<string>, toPull: boolean): void {
    void answer.then((text) => {
      if (this.cut || this.deserted) return;
      this.hub.landed.check(this, (JSON.parse(text) as ReplyFrame).replies);
      this.toTab.push({ text, toPull });
    });
  }
}

export interface Connected {
  link: Link;
  /** Refused: the hub took this incarnation for dead. */
  ended: boolean;
  forgotten: boolean;
}

export interface SimulatedHubOptions {
  epoch: string;
  disk: Disk;
  landed: Landed;
  parked: number;
  /** Of payloads in memory; each message has one byte. */
  payloadBudgetBytes?: number | undefined;
}

export class SimulatedHub {
  readonly epoch: string;
  readonly links: Link[] = [];
  /** How many records were on disk when a call first came. */
  readonly recordsBefore = new Map<string, number>();
  /** What is known to be on disk; for one that was stolen from: what was, when it was. */
  landed: Landed;
  #host: Host | undefined;
  readonly #disk: Disk;
  readonly #payloadBudgetBytes: number | undefined;

  constructor({ epoch, disk, landed, parked, payloadBudgetBytes }: SimulatedHubOptions) {
    this.epoch = epoch;
    this.#payloadBudgetBytes = payloadBudgetBytes;
    this.landed = landed;
    this.#disk = disk;
    this.#host = new Host({
      space: SPACE,
      epoch,
      journal: disk.open(epoch),
      // As the hub does: after what is under way.
      onLost: () => void Promise.resolve().then(() => this.close()),
      onTabs: () => {},
      parking: { sessions: parked },
    });
  }

  get reigns(): boolean {
    return this.#host !== undefined;
  }

  load(): Promise<void> {
    return this.#host!.load();
  }

  connect(tab: string, asleepMs?: number): Connected {
    const payloadBudgetBytes = this.#payloadBudgetBytes;
    const hello = {
      kind: "hello",
      tab,
      protocol: PROTOCOL,
      version: "0",
      testClock: true,
      payloadBudgetBytes,
    } as const;
    const { ended, forgotten } = this.#host?.hello({ ...hello, ...(asleepMs === undefined ? {} : { asleepMs }) }) ?? {};
    const link = new Link(this, tab);
    this.links.push(link);
    return { link, ended: ended === true, forgotten: forgotten === true };
  }

  call(frame: CallFrame): Promise<string> {
    return this.#host?.knows(frame.tab) ? this.#host.receive(frame) : this.#reset();
  }

  pull(tab: string): Promise<string> {
    return this.#host?.knows(tab) ? this.#host.pull(tab) : this.#reset();
  }

  goodbye(frame: GoodbyeFrame): void {
    this.#host?.goodbye(frame);
  }

  looksAtClock(): void {
    // Refused before a tab with a test clock said hello.
    if (this.links.length > 0) this.#host?.advanceClock(0);
  }

  /** It learns that its memory is void. */
  close(): void {
    const host = this.#host;
    this.#host = undefined;
    host?.close();
  }

  /** Everything of it is gone in one moment: nothing that was under way is heard of. */
  die(): void {
    for (const link of this.links) link.cut = true;
    this.#disk.forget(this.epoch);
    this.close();
  }

  #reset(): Promise<string> {
    return Promise.resolve(JSON.stringify({ epoch: this.epoch, replies: [], reset: true } satisfies ReplyFrame));
  }
}
