/** Outcomes of a write while the server or the way to it fails, and what each says. */
const REFUSED = new Set(["OFFLINE", "QUOTA", "STORAGE"]);

/** Things that writers made, each by one call, and what they were told of it. */
export class Ledger {
  /** There, once. */
  readonly #accepted = new Set<string>();
  /** Not there. */
  readonly #refused = new Set<string>();
  #next = 0;

  /** Every other one has a key: nobody is left in doubt about it. Rejects with what the call rejects with. */
  async write(call: (value: string, key: string | undefined) => Promise<unknown>): Promise<void> {
    const value = `${this.#next++}`;
    const key = this.#next % 2 === 0 ? `key ${value}` : undefined;
    try {
      await call(value, key);
      this.#accepted.add(value);
    } catch (error) {
      const { code = "" } = error as { code?: string };
      if (REFUSED.has(code)) this.#refused.add(value);
      throw error;
    }
  }

  /** What is wrong with this as all that is there. `lossy`: the server has lost what it had. */
  faults(there: readonly string[], lossy: boolean): string[] {
    const found = new Set<string>();
    const doubled = there.filter((value) => found.size === found.add(value).size);
    const lost = lossy ? [] : [...this.#accepted].filter((value) => !found.has(value));
    const refused = there.filter((value) => this.#refused.has(value));
    return [
      ...doubled.map((value) => `${value} is there twice`),
      ...lost.map((value) => `${value} was accepted and is not there`),
      ...refused.map((value) => `${value} was refused and is there`),
    ];
  }
}
