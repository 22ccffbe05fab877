import type { Client } from "./client.js";
import { type ScriptSource, scriptSource } from "./script-source.js";

interface Loaded {
  readonly sha: string;
  readonly parts: readonly string[];
}

/** The scripts of a backend as the server knows them: all are loaded before the first call, so that calls keep their order. */
export class Scripts {
  readonly #client: Client;
  readonly #sources: readonly ScriptSource[];
  readonly #loaded = new Map<string, Loaded>();
  #loading: Promise<void> | undefined;
  ready = false;

  constructor(client: Client, names: Iterable<string>) {
    this.#client = client;
    this.#sources = [...new Set(names)].map(scriptSource);
  }

  loaded(name: string): Loaded {
    return this.#loaded.get(name)!;
  }

  /** The server forgot them (SCRIPT FLUSH, a restart, a failover). */
  forget(): void {
    this.ready = false;
  }

  load(): Promise<void> {
    if (this.ready) return Promise.resolve();
    return (this.#loading ??= this.#load().finally(() => (this.#loading = undefined)));
  }

  async #load(): Promise<void> {
    await Promise.all(
      this.#sources.map(async ({ name, text, parts }) => {
        this.#loaded.set(name, { sha: await this.#client.load(text), parts });
      }),
    );
    this.ready = true;
  }
}
