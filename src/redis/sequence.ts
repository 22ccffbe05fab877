/**
 * Keeps the order of an instance's calls when some of them run in this process, in several steps: those that come after
 * such a call wait for its end.
 */
export class Sequence {
  #last: Promise<void> | undefined;

  /** At once when nothing is under way. A turn that takes time does not reject. */
  enter(turn: () => Promise<void> | void): void {
    if (this.#last === undefined) {
      const running = turn();
      if (running) this.#follow(running);
    } else this.#follow(this.#last.then(turn));
  }

  #follow(running: Promise<void>): void {
    const last = running.then(() => {
      if (this.#last === last) this.#last = undefined;
    });
    this.#last = last;
  }
}
