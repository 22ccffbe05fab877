import type { InstanceSpec } from "../client/backend.js";
import type { Kind } from "../protocol/commands.js";
import { TabloomError } from "../protocol/errors.js";
import type { Call } from "./call.js";
import type { Script } from "./script.js";

export interface OpennessOptions<K extends Kind> {
  /** Opens the instance on the server. */
  open(spec: InstanceSpec<K>): Promise<void>;
  /** It was lost, and is open again: this process says what it holds, before the calls that found the data gone. */
  reopened(): void;
  /** Gives calls to the server again. */
  resume(calls: readonly Call[]): void;
  refuse(call: Call, error: Error): void;
  closed(): boolean;
}

/** Whether the server has the instance, as far as is known, and the calls that wait for that. */
export class Openness<K extends Kind> {
  readonly #options: OpennessOptions<K>;
  /** The settings that it was opened with last. */
  spec: InstanceSpec<K>;
  open = false;
  #opening: Promise<void> | undefined;
  #held: Call[] = [];
  #inFlight = 0;
  #orderedInFlight = 0;

  constructor(spec: InstanceSpec<K>, options: OpennessOptions<K>) {
    this.spec = spec;
    this.#options = options;
  }

  /** It is being opened anew. */
  get opening(): boolean {
    return this.#opening !== undefined;
  }

  get awaitsAnswers(): boolean {
    return this.#inFlight > 0;
  }

  /** Whether a call may be sent behind those that are under way, any of which the server may refuse. */
  takes({ unordered }: Pick<Script, "unordered">): boolean {
    return unordered ? this.#orderedInFlight === 0 : this.#inFlight === 0;
  }

  async openWith(spec: InstanceSpec<K>): Promise<void> {
    await this.#options.open(spec);
    this.spec = spec;
    this.open = true;
  }

  hold(call: Call): void {
    this.#held.push(call);
    if (!this.open) this.#reopenSoon();
  }

  sent(calls: readonly Call[]): void {
    this.#inFlight += calls.length;
    this.#orderedInFlight += orderedOf(calls);
  }

  answered(calls: readonly Call[]): void {
    this.#inFlight -= calls.length;
    this.#orderedInFlight -= orderedOf(calls);
    if (this.#held.length > 0 && !this.open) this.#reopenSoon();
  }

  /** The server does not have it any more. */
  lost(): void {
    this.open = false;
    this.#reopenSoon();
  }

  /** What is held here goes on, if it is open. */
  release(): void {
    if (this.open) this.#options.resume(this.takeHeld());
  }

  takeHeld(): Call[] {
    return this.#held.splice(0);
  }

  /** Once every call that is under way has found that the data is gone, so that all are sent again in their order. */
  #reopenSoon(): void {
    if (this.#inFlight === 0) this.#opening ??= this.#reopen().finally(() => (this.#opening = undefined));
  }

  async #reopen(): Promise<void> {
    const { refuse, closed, reopened } = this.#options;
    try {
      await this.openWith(this.spec);
      reopened();
      this.release();
    } catch (error) {
      const retryable = error instanceof TabloomError && error.retryable;
      const held = this.takeHeld();
      for (const call of held) {
        if (retryable && call.waitUntil > performance.now()) this.#held.push(call);
        else refuse(call, error as Error);
      }
      if (this.#held.length > 0 && !closed()) setTimeout(() => this.#reopenSoon(), 0);
    }
  }
}

/** All calls of a batch are of one script. */
function orderedOf(calls: readonly Call[]): number {
  return calls[0]?.script.unordered ? 0 : calls.length;
}
