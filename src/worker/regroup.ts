import type { CommandName } from "../protocol/commands.js";
import { names } from "../protocol/names.js";
import type { HubCall } from "./hub-call.js";

/** How long a new hub waits for tabs that live but do not say what they hold: they may be frozen. */
const SILENT_MS = 500;
/** For tabs that said hello: they are about to. */
const GREETED_MS = 2000;

/**
 * After a hub's start: waits until every tab whose lock is held has said which locks of mutexes it holds, or died.
 * Until then nothing is granted: the calls that could are held back, in order.
 */
export class Regroup {
  readonly #unheard = new Set<string>();
  readonly #greeted = new Set<string>();
  readonly #done: (held: HubCall[]) => void;
  #held: HubCall[] = [];
  #over = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(done: (held: HubCall[]) => void) {
    this.#done = done;
  }

  /** Finds the tabs that live; returns them. */
  async begin(space: string): Promise<string[]> {
    const prefix = names.tabLock(space, "");
    // Without Web Locks nobody can tell which tabs live: all may be silent.
    if (!navigator.locks) this.#unheard.add("");
    const { held = [] } = (await navigator.locks?.query().catch(() => undefined)) ?? {};
    for (const { name } of held) if (name?.startsWith(prefix)) this.#unheard.add(name.slice(prefix.length));
    if (this.#unheard.size === 0) this.#finish();
    else this.#timer = setTimeout(() => this.#giveUp(), SILENT_MS);
    return [...this.#unheard].filter(Boolean);
  }

  greeted(tab: string): void {
    this.#greeted.add(tab);
  }

  /** The tab said what it holds, or cannot hold anything any more. */
  heard(tab: string): void {
    if (this.#over) return;
    this.#unheard.delete(tab);
    if (this.#unheard.size === 0) this.#finish();
  }

  /** Keeps a call until all is known. */
  holds(call: HubCall): boolean {
    if (this.#over || !mayGrant(call.op)) return false;
    this.#held.push(call);
    return true;
  }

  /** Takes a call out again that its caller gave up. */
  cancel(call: HubCall): boolean {
    const index = this.#held.indexOf(call);
    if (index < 0) return false;
    this.#held.splice(index, 1);
    return true;
  }

  /** Forgets what a tab that is gone was waiting for. */
  drop(tab: string): void {
    this.#held = this.#held.filter(({ owner }) => owner !== tab);
    this.heard(tab);
  }

  close(): void {
    this.#over = true;
    clearTimeout(this.#timer);
  }

  #giveUp(): void {
    for (const tab of [...this.#unheard]) if (!this.#greeted.has(tab)) this.#unheard.delete(tab);
    if (this.#unheard.size === 0) this.#finish();
    else this.#timer = setTimeout(() => this.#finish(), GREETED_MS - SILENT_MS);
  }

  #finish(): void {
    if (this.#over) return;
    this.close();
    this.#done(this.#held);
    this.#held = [];
  }
}

function mayGrant(op: CommandName): boolean {
  return op.startsWith("mutex.") && op !== "mutex.assert";
}
