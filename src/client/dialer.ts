import type { WorkerType } from "../protocol/names.js";
import type { HubLink } from "../transport/comlink.js";

/** Where the hub of a tab runs: in a SharedWorker, beside one elected tab, or here and for this tab alone. */
export type HostingMode = "shared-worker" | "elected-tab" | "single-tab";

/** There is no hub on this way. */
export class WayClosed extends Error {}

/** One way of reaching a hub. */
export interface Dialer {
  readonly mode: HostingMode;
  /**
   * `name`: the worker's, which says space and generation. Throws `WayClosed`, or rejects `failed` with it, when there is
   * and will be no hub behind it.
   */
  dial(name: string): { link: HubLink; failed: Promise<never> };
  /** How the worker's script is loaded, which is a part of its name. Default "module". */
  readonly type?: WorkerType;
  /** The hub's own thread, not a tab. */
  readonly own?: true;
  /** What should be known about where the hub runs; shown once, and cleared. */
  remark?: string | undefined;
  /** Resolves when the hub beside this tab ended, whose lock this tab's dialer waits for; undefined when there is none. */
  hubHereEnded?(): Promise<unknown> | undefined;
  /**
   * So many attempts went unanswered, one after the other. Instead of a worker of the next generation; and such a way is
   * closed by nothing but `WayClosed`.
   */
  stuck?(attempts: number): void;
  close?(): void;
}

/** The ways there are, best first; each is tried when the one before it is closed. */
export interface Hosting {
  /** Throws `UNAVAILABLE` where there can be no hub at all, naming what is missing. */
  assertAvailable(): void;
  readonly ways: readonly (() => Dialer | Promise<Dialer>)[];
}
