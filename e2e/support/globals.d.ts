/** What e2e/pages/page.js puts into the page. Only ever touched inside `page.evaluate`. */
import type * as Tabloom from "../../src/index.js";

interface Noted {
  what: string;
  by: string;
  i: number;
  attempt?: number;
  at: number;
}

type AnySchema = Tabloom.Schema<unknown>;

declare global {
  var tabloom: typeof Tabloom;
  var anything: AnySchema;
  var backend: Tabloom.Backend;
  var q: Tabloom.Queue<Tabloom.Schema<{ i: number }>>;
  var t: Tabloom.Topic<AnySchema>;
  var noted: Noted[];
  var seen: unknown[];
  var stopConsuming: () => Promise<void>;
  function join(space: string, options?: object): void;
  /** Disturbs a steered hub; resolves when it says that it is done. */
  function steer(command: { stepMs?: number; hangMs?: number; hub?: string }): Promise<void>;
  var steering: BroadcastChannel;
  function sendAll(count: number, options?: { inFlight?: number; from?: number }): Promise<string[]>;
  function consume(name: string, options?: { concurrency?: number; holdMs?: number }): void;
  /** Makes this the tab that confirms what others note; `consume` waits for it. */
  function keepRecord(): void;
  function note(entry: Omit<Noted, "at">): void;
}

export {};
