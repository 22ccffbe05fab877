const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** One timer for the earliest thing that is due. */
export class Alarm {
  readonly #ring: () => void;
  #at = Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(ring: () => void) {
    this.#ring = ring;
  }

  /** Rings at `at` (of a clock that shows `now`), or earlier if it was set so before. */
  set(at: number, now: number): void {
    if (at >= this.#at) return;
    this.clear();
    if (at === Infinity) return;
    this.#at = at;
    const wait = Math.min(Math.max(0, at - now), MAX_TIMEOUT_MS);
    this.#timer = setTimeout(() => {
      this.clear();
      this.#ring();
    }, wait);
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#at = Infinity;
  }
}
