import type { Client } from "./client.js";
import { scriptSource } from "./script-source.js";

interface Loaded {
  readonly sha: string;
  readonly parts: readonly string[];
}

/**
 * The scripts of a backend as the server knows them. Those of a kind are loaded together, before the first call to an
 * instance of it, so that calls keep their order; and no others, because the garbage collector of the server's Lua walks
 * through all that it was ever given.
 */
export class Scripts {
  readonly #client: Client;
  readonly #wanted = new Set<string>();
  /** Of these, what the server does not have, as far as is known. */
  readonly #missing = new Set<string>();
  readonly #loaded = new Map<string, Loaded>();
  #loading: Promise<void> | undefined;

  constructor(client: Client, names: readonly string[]) {
    this.#client = client;
    this.want(names);
  }

  get ready(): boolean {
    return this.#missing.size === 0 && this.#loading === undefined;
  }

  /** They are among those that are loaded from now on. */
  want(names: readonly string[]): void {
    for (const name of names) {
      if (!this.#wanted.has(name)) this.#missing.add(name);
      this.#wanted.add(name);
    }
  }

  has(name: string): boolean {
    return this.#loaded.has(name);
  }

  loaded(name: string): Loaded {
    return this.#loaded.get(name)!;
  }

  /** The server forgot them (SCRIPT FLUSH, a restart, a failover). */
  forget(): void {
    for (const name of this.#wanted) this.#missing.add(name);
  }

  load(): Promise<void> {
    if (this.ready) return Promise.resolve();
    return (this.#loading ??= this.#load().finally(() => (this.#loading = undefined)));
  }

  async #load(): Promise<void> {
    while (this.#missing.size > 0) {
      const names = [...this.#missing];
      this.#missing.clear();
      try {
        const sources = names.map(scriptSource);
        const shas = await Promise.all(sources.map(({ text }) => this.#client.load(text)));
        sources.forEach(({ name, parts }, i) => this.#loaded.set(name, { sha: shas[i]!, parts }));
      } catch (error) {
        for (const name of names) this.#missing.add(name);
        throw error;
      }
    }
  }
}
