import type { InstanceName, TraceEntry } from "../protocol/commands.js";
import { TabloomError } from "../protocol/errors.js";
import type { Json } from "../protocol/json.js";
import type { Client } from "./client.js";
import { parseEvent } from "./event-text.js";
import { instanceNameOf, redisNames } from "./keys.js";

/** Somebody who follows says so this often; processes go on telling for longer than that. */
const SAY_MS = 1000;
const TELL_MS = 5000;

/**
 * The trace of a prefix. Who follows says so on the control channel; as long as they hear it, processes publish each
 * command with its outcome. Events are published anyway, on channels of their own.
 */
export class Trace {
  readonly #client: Client;
  readonly #prefix: string;
  readonly #owner: string;
  readonly #followers = new Set<(entry: TraceEntry) => void>();
  #tellUntil = 0;
  #saying: ReturnType<typeof setInterval> | undefined;

  constructor(client: Client, prefix: string, owner: string) {
    this.#client = client;
    this.#prefix = prefix;
    this.#owner = owner;
  }

  /** Somebody says that they follow. */
  isFollowed(): void {
    this.#tellUntil = performance.now() + TELL_MS;
  }

  command(instance: InstanceName, op: string, body: Json, error: unknown): void {
    if (performance.now() >= this.#tellUntil) return;
    const outcome = error === undefined ? "ok" : error instanceof TabloomError ? error.code : String(error);
    const entry: TraceEntry = { type: "command", at: Date.now(), instance, op, body, by: this.#owner, outcome };
    this.#client.call("PUBLISH", redisNames.trace(this.#prefix), JSON.stringify(entry)).catch(() => {});
  }

  follow(follower: (entry: TraceEntry) => void): () => void {
    this.#followers.add(follower);
    if (this.#followers.size === 1) void this.#begin();
    return () => {
      if (this.#followers.delete(follower) && this.#followers.size === 0) this.#end();
    };
  }

  async #begin(): Promise<void> {
    await this.#client.subscribe(redisNames.trace(this.#prefix), (text) =>
      this.#tell(JSON.parse(text) as TraceEntry),
    );
    await this.#client.subscribePattern(redisNames.eventPattern(this.#prefix), (text, channel) => {
      const instance = instanceNameOf(this.#prefix, channel);
      if (instance === undefined) return;
      this.#tell({ type: "event", at: Date.now(), instance, event: parseEvent(text)[1] as unknown as Json });
    });
    if (this.#followers.size === 0) return;
    const say = (): void => {
      this.#client.call("PUBLISH", redisNames.control(this.#prefix), "trace").catch(() => {});
    };
    say();
    clearInterval(this.#saying);
    this.#saying = setInterval(say, SAY_MS);
    this.#saying.unref?.();
  }

  #tell(entry: TraceEntry): void {
    for (const follower of this.#followers) follower(entry);
  }

  #end(): void {
    clearInterval(this.#saying);
    this.#client.unsubscribe(redisNames.trace(this.#prefix));
    this.#client.unsubscribe(redisNames.eventPattern(this.#prefix));
  }

  close(): void {
    clearInterval(this.#saying);
    this.#followers.clear();
  }
}
