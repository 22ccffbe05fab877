import { atMost } from "../client/signals.js";
import { TabloomError } from "../protocol/errors.js";
import type { Call } from "./call.js";
import type { Gate } from "./opening.js";

/** Calls wait no longer than this for the subscription of those who listen. */
const HEAR_MS = 5000;

export interface EntranceOptions {
  issue(call: Call): void;
  refuse(call: Call, error: Error): void;
  /** What calls wait for besides: those who listen do not hear yet. */
  deaf(): Promise<void> | undefined;
  closed(): boolean;
}

/** Calls before their port is open. They keep their order, which is also that of other ports of this process. */
export class Entrance {
  readonly #options: EntranceOptions;
  /** Until the last of those that wait has passed. */
  #entering: Promise<void> | undefined;

  constructor(options: EntranceOptions) {
    this.#options = options;
  }

  /** `gate`: undefined for who needs none. */
  pass(gate: Gate | undefined, call: Call): void {
    const isFree = gate?.open !== false && this.#entering === undefined && this.#options.deaf() === undefined;
    if (isFree) return this.#options.issue(call);
    const entering = this.#enter(gate, call, this.#entering).finally(() => {
      if (this.#entering === entering) this.#entering = undefined;
    });
    this.#entering = entering;
  }

  async #enter(gate: Gate | undefined, call: Call, before: Promise<void> | undefined): Promise<void> {
    try {
      await gate?.pass();
    } catch (error) {
      void this.#outlast(gate!, call, error as Error);
      return;
    }
    await before;
    const deaf = this.#options.deaf();
    if (deaf) await atMost(HEAR_MS, deaf);
    if (!call.abandoned) this.#options.issue(call);
  }

  /** Those that wait outlast a server that is away. */
  async #outlast(gate: Gate, call: Call, failure: Error): Promise<void> {
    for (let error = failure; ;) {
      const retryable = error instanceof TabloomError && error.retryable;
      if (this.#options.closed() || !retryable || call.waitUntil <= performance.now()) {
        return this.#options.refuse(call, error);
      }
      try {
        await gate.pass();
        break;
      } catch (again) {
        error = again as Error;
      }
    }
    if (!call.abandoned) this.#options.issue(call);
  }
}
