import type { Call } from "./call.js";
import type { Instance } from "./instance.js";
import type { Argument, PlainScript, Script } from "./script.js";

/** Calls of one script at most, and characters of their arguments: a longer one would hold up everybody else. */
const BATCH_CALLS = 200;
const BATCH_CHARS = 262_144;

/**
 * Of calls that need not wait for each other so many leave at once: while the server works on some, this process works on
 * what the others brought.
 */
const PORTION = 50;

/** Calls that run in one script. */
export interface Batch {
  readonly instance: Instance;
  readonly script: Script | PlainScript;
  readonly unordered: boolean;
  readonly calls: Call[];
  readonly args: Argument[];
  chars: number;
}

/**
 * Calls of one moment. Of an instance there is one batch, for what the server refuses must not be overtaken by what it
 * takes; several only of calls that may overtake each other (`Script.unordered`).
 */
export class Batches {
  readonly all: Batch[] = [];
  /** Calls of another moment (`PORTION`). */
  leftOver = false;
  readonly #of = new Map<Instance, Batch[]>();
  #unordered = 0;

  /** Returns false if the call must wait until those before it are answered. */
  add(call: Call, script: Script | PlainScript, args: readonly Argument[]): boolean {
    const { instance } = call;
    const { unordered = false } = call.script;
    const chars = lengthOf(args);
    if (unordered && this.#unordered >= PORTION) {
      this.leftOver = true;
      return false;
    }
    const others = this.#of.get(instance) ?? [];
    let batch = others.find((other) => other.script === script && hasRoom(other, chars));
    if (batch === undefined) {
      if (others.length > 0 && !(unordered && others[0]!.unordered)) return false;
      batch = { instance, script, unordered, calls: [], args: [], chars: 0 };
      this.all.push(batch);
      this.#of.set(instance, [...others, batch]);
    }
    if (unordered) this.#unordered++;
    batch.calls.push(call);
    batch.args.push(...args);
    batch.chars += chars;
    return true;
  }
}

function hasRoom({ script, calls, chars }: Batch, more: number): boolean {
  return script.many === true && calls.length < BATCH_CALLS && chars + more <= BATCH_CHARS;
}

function lengthOf(args: readonly Argument[]): number {
  let length = 0;
  for (const arg of args) length += typeof arg === "string" ? arg.length : 8;
  return length;
}
