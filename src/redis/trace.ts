import type { InstanceName, TraceEntry } from "../protocol/commands.js";
import { TabloomError } from "../protocol/errors.js";
import type { Json } from "../protocol/json.js";
import type { Client } from "./client.js";
import { parseEvents } from "./event-text.js";
import { instanceNameOf, redisNames } from "./keys.js";

/** Somebody who follows says so this often; processes go on telling for longer than that. */
const SAY_MS = 1000;
const TELL_MS = 5000;
/** An event arrives before the command that made it, whose process tells of it only when it is answered. */
const HOLD_MS = 100;

/**
 * The trace of a prefix. Who follows says so on the control channel; as long as they hear it, processes publish each
 * command with its outcome. Events are published anyway, on channels of their own.
 */
export class Trace {
  readonly #client: Client;
  readonly #prefix: string;
  readonly #owner: string;
  readonly #followers = new Set<(entry: TraceEntry) => void>();
  readonly #held = new Set<ReturnType<typeof setTimeout>>();
  /** Those who follow hear what happens from now on. */
  begun: Promise<void> | undefined;
  #tellUntil = 0;
  #saying: ReturnType<typeof setInterval> | undefined;

  constructor(client: Client, prefix: string, owner: string) {
    this.#client = client;
    this.#prefix = prefix;
    this.#owner = owner;
  }

  /** This process has connected: somebody may follow already. */
  async connected(): Promise<void> {
    const followed = await this.#client.call("EXISTS", redisNames.followed(this.#prefix)).catch(() => 0);
    if (followed === 1) this.isFollowed();
  }

  /** Somebody says that they follow. */
  isFollowed(): void {
    this.#tellUntil = performance.now() + TELL_MS;
  }

  command(instance: InstanceName, op: string, body: Json, error: Error | undefined): void {
    if (performance.now() >= this.#tellUntil) return;
    const entry: TraceEntry = {
      type: "command",
      at: Date.now(),
      instance,
      op,
      body,
      by: this.#owner,
      outcome: outcomeOf(error),
    };
    this.#client.call("PUBLISH", redisNames.trace(this.#prefix), JSON.stringify(entry)).catch(() => {});
  }

  follow(follower: (entry: TraceEntry) => void): () => void {
    this.#followers.add(follower);
    if (this.#followers.size === 1) this.begun = this.#begin().catch(() => {});
    return () => {
      if (this.#followers.delete(follower) && this.#followers.size === 0) this.#end();
    };
  }

  async #begin(): Promise<void> {
    await this.#client.subscribe(redisNames.trace(this.#prefix), (text) => this.#tell(JSON.parse(text) as TraceEntry));
    await this.#client.subscribePattern(redisNames.eventPattern(this.#prefix), (text, channel) => {
      const instance = instanceNameOf(this.#prefix, channel);
      if (instance === undefined) return;
      for (const [, event] of parseEvents(text)) {
        this.#event({ type: "event", at: Date.now(), instance, event: event as unknown as Json });
      }
    });
    // Nobody any more: the second subscription came after the end of the first.
    if (this.#followers.size === 0) return this.#end();
    const say = (): Promise<unknown> => {
      // This process need not hear it from itself.
      this.isFollowed();
      return Promise.allSettled([
        this.#client.call("SET", redisNames.followed(this.#prefix), 1, "PX", TELL_MS),
        this.#client.call("PUBLISH", redisNames.control(this.#prefix), "trace"),
      ]);
    };
    clearInterval(this.#saying);
    this.#saying = setInterval(() => void say(), SAY_MS);
    this.#saying.unref?.();
    await say();
  }

  #event(entry: TraceEntry): void {
    const timer = setTimeout(() => {
      this.#held.delete(timer);
      // After what has arrived meanwhile, should this process have been busy for so long.
      setImmediate(() => this.#tell(entry));
    }, HOLD_MS);
    this.#held.add(timer);
  }

  #tell(entry: TraceEntry): void {
    for (const follower of this.#followers) follower(entry);
  }

  #end(): void {
    clearInterval(this.#saying);
    for (const timer of this.#held) clearTimeout(timer);
    this.#held.clear();
    this.#client.unsubscribe(redisNames.trace(this.#prefix));
    this.#client.unsubscribe(redisNames.eventPattern(this.#prefix));
  }

  close(): void {
    if (this.#followers.size > 0) this.#end();
    this.#followers.clear();
  }
}

function outcomeOf(error: Error | undefined): string {
  if (error === undefined) return "ok";
  return error instanceof TabloomError ? error.code : String(error);
}
