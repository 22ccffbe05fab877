/** What e2e/pages/page.js puts into the page. Only ever touched inside `page.evaluate`. */
import type * as Tabloom from "../../src/index.js";
import type { Access } from "../../test/history/mutex-history.js";
import type { Note } from "../../test/history/record.js";

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
  var m: Tabloom.Mutex;
  var lock: Tabloom.Lock;
  var stopConsuming: () => Promise<void>;
  function join(space: string, options?: object): void;
  function killHostedHub(): Promise<number>;
  /** Disturbs a steered hub; resolves when it says that it is done. */
  function steer(command: { stepMs?: number; hangMs?: number; hub?: string }): Promise<void>;
  var steering: BroadcastChannel;
  /** Text of so many random bytes. */
  var noise: (bytes: number) => string;
  /** Lets a handler of the test go on. */
  var settle: () => void;
  function sendAll(count: number, options?: { inFlight?: number; from?: number }): Promise<string[]>;
  function consume(name: string, options?: { concurrency?: number; holdMs?: number }): void;
  /** Makes this the tab that confirms what others note; `consume` waits for it. */
  function keepRecord(): void;
  function note(entry: Omit<Noted, "at">): void;

  /** Calls of a tab that were acknowledged, in their order. */
  var acks: { i: number; at: number }[];

  function listenTo(topic: typeof t): Promise<void>;

  // --- what e2e/bfcache.e2e.ts and e2e/frozen.e2e.ts keep in their pages

  /** Whether each `pageshow` came out of the back/forward cache. */
  var shown: boolean[];
  var sleep: {
    taken: NonNullable<Awaited<ReturnType<typeof q.recv>>>[];
    parked: Promise<{ data: unknown } | null>;
    sending: Promise<Tabloom.Sent[]>;
    presence: Tabloom.Ephemeral<AnySchema>;
    job: Tabloom.Job<AnySchema, string>;
    runs: { attempt: number; aborted: boolean }[];
    leaveHandler: () => void;
  };

  // --- e2e/pages/jobs.html

  function joinSpace(options: object): void;
  var stepping: Tabloom.Job<Tabloom.Schema<{ from: number }>, number[]>;
  var ticking: Tabloom.Job<AnySchema, string>;
  function workInSteps(name: string, options: { hangAfter?: number }): void;
  function scheduleEachMinute(): Promise<void>;
  /** Moves the hub's clock to just behind the next slot. */
  function toNextSlot(): Promise<void>;
  function slotsDone(): Promise<number[]>;
  function bind(key: string): Promise<void>;
  function present(): Promise<string[]>;

  // --- e2e/pages/history.html

  /** Takes down what this tab does; `kept`: the tab that keeps the record has it before it can have an effect. */
  function recordAs(tab: string, options: { kept: boolean }): void;
  function keepRecordOf(tab: string): void;
  var notes: Note[];
  function takeNotes(): Note[];
  function useQueue(options: object): void;
  function stopSending(): Promise<void>;
  function stopReceiving(): Promise<void>;
  function deadLetters(): Promise<{ value: string; messageId: string }[]>;
  function joinMutex(options: {
    space: string;
    worker?: string;
    mode?: Tabloom.BackendStatus["mode"] | undefined;
  }): void;
  var mutexes: Record<"memory" | "relaxed", Tabloom.Mutex>;
  function contend(options: object): Promise<void>;
  function stopContending(): Promise<void>;
  function takeAccesses(): Promise<Access[]>;

  // --- e2e/pages/store.html

  function openStore(prefix: string): { backend: Tabloom.Backend; q: typeof q };
  /** What a call rejects with; undefined when it does not. */
  function refusal(
    call: () => Promise<unknown>,
  ): Promise<{ name: string; code: string; cause?: string | undefined } | undefined>;
}

export {};
