import type { Store } from "../../src/memory.js";

/** What a write comes to. */
export type Fate = "works" | "refuses" | "dies before" | "dies after";

/** What outlives an engine. */
export type Contents = Map<string, string>;

/**
 * A user's store whose writes come to what they are told to. Once it died nothing it is asked for happens any more: the
 * page is gone, its contents are what the next one finds.
 */
export class FaultyStore implements Store {
  readonly contents: Contents;
  /** Of the next writes and removals; then they work. */
  fates: Fate[] = [];
  /** Characters that fit. */
  capacity = Infinity;
  dead = false;
  writes = 0;
  /** Characters in it. */
  used = 0;

  constructor(contents: Contents = new Map()) {
    this.contents = contents;
    for (const [key, text] of contents) this.used += key.length + text.length;
  }

  get(key: string): unknown {
    const text = this.contents.get(key);
    return text === undefined ? undefined : JSON.parse(text);
  }

  set(key: string, value: unknown): void {
    const text = JSON.stringify(value);
    this.#step(() => {
      const grown = key.length + text.length - this.#sizeOf(key);
      if (grown > 0 && this.used + grown > this.capacity) throw new Error("full");
      this.used += grown;
      this.contents.set(key, text);
    });
  }

  del(key: string): void {
    this.#step(() => {
      this.used -= this.#sizeOf(key);
      this.contents.delete(key);
    });
  }

  keys(prefix = ""): string[] {
    // In no order that anything could rest on.
    return [...this.contents.keys()].filter((key) => key.startsWith(prefix)).reverse();
  }

  #sizeOf(key: string): number {
    const text = this.contents.get(key);
    return text === undefined ? 0 : key.length + text.length;
  }

  #step(effect: () => void): void {
    const fate = this.dead ? "dies before" : (this.fates.shift() ?? "works");
    this.writes++;
    if (fate === "refuses") throw new Error("refused");
    this.dead ||= fate !== "works";
    if (fate === "dies before") throw new Error("dead");
    effect();
    if (fate === "dies after") throw new Error("dead");
  }
}
