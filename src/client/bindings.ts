import type { EntryStamp } from "../protocol/commands.js";
import type { InstanceEvent } from "../protocol/events.js";
import type { Port, Reassertion } from "./backend.js";

interface Held {
  value: string;
  createdAt: number;
  version: string;
  /** When its ttl is over, of this tab's monotonic clock. */
  endsAt: number;
}

/** What a handle bound to this tab at one instance, and tells every new hub (docs/decisions/0006). */
export class Bindings {
  readonly #handle: string;
  readonly #held = new Map<string, Held>();
  readonly #stop: (() => void)[];

  constructor(port: Port, handle: string) {
    this.#handle = handle;
    this.#stop = [
      // What others do to these entries ends them here, too: a new hub must not be told of them.
      port.listen({ event: (event) => this.#hear(event), resync() {} }),
      // A hub that remembers knows better: what is gone there was removed.
      port.reassert(({ remembers }) => (remembers ? undefined : this.#tell())),
    ];
  }

  keep(key: string, value: string, { version, createdAt, ttlMs }: EntryStamp): void {
    this.#held.set(key, { value, createdAt, version, endsAt: performance.now() + ttlMs! });
  }

  touched(key: string, version: string, ttlMs: number): void {
    const held = this.#held.get(key);
    if (held) Object.assign(held, { version, endsAt: performance.now() + ttlMs });
  }

  forget(key: string): void {
    this.#held.delete(key);
  }

  close(): void {
    this.#held.clear();
    for (const stop of this.#stop) stop();
  }

  #tell(): Reassertion | undefined {
    const now = performance.now();
    const entries = Array.from(this.#held, ([key, { value, createdAt, version, endsAt }]) => ({
      key,
      value,
      createdAt,
      version,
      ttlMs: Math.ceil(endsAt - now),
    })).filter(({ ttlMs }) => ttlMs > 0);
    if (entries.length === 0) return undefined;
    const told: Reassertion<"ephemeral.assert"> = {
      op: "ephemeral.assert",
      body: { handle: this.#handle, entries },
      answered: (lost) => lost.forEach((key) => this.forget(key)),
      // Nothing to tell anybody: an entry may end at any time.
      refused() {},
    };
    return told as unknown as Reassertion;
  }

  #hear(announced: InstanceEvent): void {
    if (announced.type !== "ephemeral.changed") return;
    const { event } = announced;
    const { key, type } = event;
    const version = type === "upsert" ? event.entry.version : event.version;
    const held = this.#held.get(key);
    // Events come by another way than replies: this one may be of before what is held now.
    if (held === undefined || Number(version) <= Number(held.version)) return;
    if (type === "touch") this.touched(key, version, event.expiresAt - event.updatedAt);
    // The hub took this tab for gone; it is not.
    else if (type === "delete" && event.reason === "tab_gone") return;
    else if (type !== "upsert" || event.entry.bound?.handle !== this.#handle) this.forget(key);
  }
}
