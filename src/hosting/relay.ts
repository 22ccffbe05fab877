/**
 * The way to a hub that cannot be reached by a port: frames as texts over BroadcastChannels, one per receiver.
 *
 * A text travels in chunks. The receiver confirms each, and a sender has at most a few unconfirmed under way, so that
 * neither side has to hold more than that of what the other cannot keep up with. A channel between living ends loses
 * nothing; the death of the other end is seen by its lock, not here.
 */
import { TabloomError, type WireError, fromWire, toWire } from "../protocol/errors.js";
import type { HubFacade } from "../protocol/frames.js";
import { randomText } from "../protocol/ids.js";
import { names } from "../protocol/names.js";
import { type Broadcast, joinBroadcast } from "../transport/broadcast.js";
import type { HubLink } from "../transport/comlink.js";

/** In characters. */
const CHUNK = 2 ** 20;
const UNCONFIRMED = 4;
/** A receiver that confirmed nothing for so long is gone, or frozen. */
const GIVE_UP_MS = 30_000;

/** In front of each chunk, on a line of its own. */
interface Header {
  from: string;
  /** Numbers the text among those of its sender; undefined: this confirms a chunk. */
  text?: number;
  /** More chunks of this text follow. */
  more?: true;
  /** Texts to this receiver were given up while it took none: it must not wait for them. */
  lost?: true;
}

type Message =
  | { ask: number; method: keyof HubFacade; text: string }
  | { answer: number; text: string }
  | { answer: number; error: WireError };

/** What goes to one receiver. */
class Outbox {
  readonly #self: string;
  readonly #channel: Broadcast;
  readonly #queue: string[] = [];
  #texts = 0;
  #unconfirmed = 0;
  #movedAt = performance.now();

  constructor(space: string, self: string, to: string) {
    this.#self = self;
    this.#channel = joinBroadcast(names.inbox(space, to));
  }

  /** Nothing is under way. */
  get idle(): boolean {
    return this.#unconfirmed === 0;
  }

  /** What was to be sent is not any more; nor is anything new, until the receiver shows itself. */
  givenUp = false;

  giveUp(): void {
    this.givenUp = true;
    this.#queue.length = 0;
    this.close();
  }

  tellLost(): void {
    this.#channel.post(`${JSON.stringify({ from: this.#self, lost: true } satisfies Header)}\n`);
  }

  /** The receiver has not taken anything for long. */
  get stuck(): boolean {
    return !this.idle && performance.now() - this.#movedAt > GIVE_UP_MS;
  }

  send(message: Message): void {
    if (this.givenUp) return;
    const text = JSON.stringify(message);
    const number = this.#texts++;
    for (let at = 0; at < text.length; at += CHUNK) {
      const more = at + CHUNK < text.length;
      const header: Header = { from: this.#self, text: number, ...(more ? { more } : {}) };
      this.#queue.push(`${JSON.stringify(header)}\n${text.slice(at, at + CHUNK)}`);
    }
    this.#push();
  }

  confirm(): void {
    this.#channel.post(`${JSON.stringify({ from: this.#self } satisfies Header)}\n`);
  }

  confirmed(): void {
    // More than were sent: those that came when this receiver had been given up.
    this.#unconfirmed = Math.max(0, this.#unconfirmed - 1);
    this.#movedAt = performance.now();
    this.#push();
  }

  close(): void {
    this.#channel.close();
  }

  #push(): void {
    if (this.idle) this.#movedAt = performance.now();
    while (this.#unconfirmed < UNCONFIRMED && this.#queue.length > 0) {
      this.#unconfirmed++;
      this.#channel.post(this.#queue.shift()!);
    }
  }
}

/** One end of relayed conversations: its inbox, and an outbox to each other end. */
class Relay {
  readonly #space: string;
  readonly #self: string;
  readonly #inbox: Broadcast;
  readonly #outboxes = new Map<string, Outbox>();
  /** Chunks of texts that are not complete. */
  readonly #parts = new Map<string, string>();
  #closed = false;

  constructor(space: string, self: string, hear: (message: Message, from: string) => void, onLost = (): void => {}) {
    this.#space = space;
    this.#self = self;
    this.#inbox = joinBroadcast(names.inbox(space, self), (chunk) => {
      const end = chunk.indexOf("\n");
      const { from, text, more, lost } = JSON.parse(chunk.slice(0, end)) as Header;
      if (this.#outboxes.get(from)?.givenUp) this.#takeUp(from);
      if (lost) return onLost();
      if (text === undefined) return this.#outboxes.get(from)?.confirmed();
      this.#outbox(from).confirm();
      const whole = (this.#parts.get(from) ?? "") + chunk.slice(end + 1);
      if (more) this.#parts.set(from, whole);
      else {
        this.#parts.delete(from);
        hear(JSON.parse(whole) as Message, from);
      }
    });
  }

  /** Answers may come when nobody is here any more to give them. */
  send(to: string, message: Message): void {
    if (!this.#closed) this.#outbox(to).send(message);
  }

  close(): void {
    this.#closed = true;
    this.#inbox.close();
    for (const outbox of this.#outboxes.values()) outbox.close();
    this.#outboxes.clear();
  }

  /** It was only frozen. */
  #takeUp(to: string): void {
    this.#outboxes.delete(to);
    this.#outbox(to).tellLost();
  }

  #outbox(to: string): Outbox {
    let outbox = this.#outboxes.get(to);
    if (outbox === undefined) {
      this.#sweep();
      this.#outboxes.set(to, (outbox = new Outbox(this.#space, this.#self, to)));
    }
    return outbox;
  }

  /** Outboxes are opened again when they are needed: those that rest need not stay. */
  #sweep(): void {
    for (const [to, outbox] of this.#outboxes) {
      if (outbox.givenUp) continue;
      if (outbox.idle) {
        outbox.close();
        this.#outboxes.delete(to);
      } else if (outbox.stuck) {
        outbox.giveUp();
        this.#parts.delete(to);
      }
    }
  }
}

/** Answers frames that come to this address. */
export function serveRelay(space: string, address: string, hub: HubFacade): { close(): void } {
  const relay = new Relay(space, address, (message, from) => {
    if (!("ask" in message)) return;
    const { ask, method, text } = message;
    (method === "pull" ? hub.pull(text) : hub.call(text)).then(
      (answer) => relay.send(from, { answer: ask, text: answer }),
      (error: unknown) => relay.send(from, { answer: ask, error: toWire(error) }),
    );
  });
  return relay;
}

/** To the hub at this address. What it never answers stays open: its lock tells when it is dead. */
export function dialRelay(space: string, address: string): HubLink {
  const open = new Map<number, { resolve: (text: string) => void; reject: (error: Error) => void }>();
  let asked = 0;
  const hear = (message: Message): void => {
    if (!("answer" in message)) return;
    const waiting = open.get(message.answer);
    open.delete(message.answer);
    if ("error" in message) waiting?.reject(fromWire(message.error));
    else waiting?.resolve(message.text);
  };
  const onLost = (): void => {
    for (const { reject } of open.values())
      reject(new TabloomError("TIMEOUT", "answers were given up while this tab slept"));
    open.clear();
  };
  const relay = new Relay(space, randomText(16), hear, onLost);
  const ask = (method: keyof HubFacade, text: string): Promise<string> =>
    new Promise((resolve, reject) => {
      open.set(++asked, { resolve, reject });
      relay.send(address, { ask: asked, method, text });
    });
  return {
    call: (frame) => ask("call", frame),
    pull: (tab) => ask("pull", tab),
    close: () => relay.close(),
  };
}
