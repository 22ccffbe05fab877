import type { CallOptions } from "../client/backend.js";
import type { Body, CommandName } from "../protocol/commands.js";
import { AbortError, TabloomError } from "../protocol/errors.js";
import { newId } from "../protocol/ids.js";
import type { Instance } from "./instance.js";
import type { Script } from "./script.js";

/** A call that need not wait gives up when there is no server for this long. */
const OFFLINE_MS = 5000;

export interface Call {
  readonly seq: number;
  readonly id: string;
  readonly instance: Instance;
  readonly op: CommandName;
  readonly body: Body<CommandName>;
  readonly script: Script;
  readonly options: CallOptions | undefined;
  /** Until when it may wait, of this process's monotonic clock; 0: it does not wait. */
  waitUntil: number;
  /** When it gives up for want of a server. */
  readonly deadlineAt: number;
  resolve(value: unknown): void;
  reject(error: unknown): void;
  /** It was told that it ended; what comes is handed to `onLate`. */
  abandoned: boolean;
  /** Sent, and not answered. */
  sent: boolean;
  /** Its reply was lost once: it may have run. */
  mayHaveRun: boolean;
  /** What it waits for (`Script.lane`). */
  readonly lane: string | undefined;
  /** Something came for it while its answer was on the way. */
  woken: boolean;
  /** The script of the plain case has refused it. */
  notPlain: boolean;
  /** Its time is up: it is asked once more, for the last time. */
  last: boolean;
  stopListening: (() => void) | undefined;
  /** Belongs to what this process does by itself: not told to those who follow the trace. */
  readonly part?: true;
}

/** What is asked for, and where it stands among the calls of this process. */
export interface Asked {
  readonly op: CommandName;
  readonly body: Body<CommandName>;
  readonly options: CallOptions | undefined;
  readonly seq: number;
}

export function makeCall(
  instance: Instance,
  script: Script,
  { op, body, options, seq }: Asked,
  settle: Pick<Call, "resolve" | "reject">,
): Call {
  const waitMs = script.none ? ((body as { waitMs?: number }).waitMs ?? 0) : 0;
  const waitUntil = waitMs > 0 ? performance.now() + waitMs : 0;
  return {
    seq,
    id: newId(),
    instance,
    op,
    body,
    script,
    options,
    waitUntil,
    deadlineAt: waitUntil > 0 ? Infinity : performance.now() + OFFLINE_MS,
    ...settle,
    abandoned: false,
    sent: false,
    mayHaveRun: false,
    lane: waitUntil > 0 ? script.lane?.(body) : undefined,
    woken: false,
    notPlain: false,
    last: false,
    stopListening: undefined,
  };
}

/** The call ends with an error: that of its signal if it was given up. */
export function end(call: Call, error: Error): void {
  call.stopListening?.();
  if (call.abandoned) return;
  const closed = error instanceof TabloomError && error.code === "CLOSED";
  // Who waits for something to come is told that nothing does.
  call.reject(closed && call.waitUntil > 0 ? new AbortError(error) : error);
}

/** How long it may still wait. */
export function leftOf({ waitUntil, last, abandoned }: Call): number {
  if (waitUntil === 0 || last || abandoned) return 0;
  return Math.max(0, Math.ceil(waitUntil - performance.now()));
}

/** A test's clock has moved. 0 would say that the call does not wait. */
export function endEarlier(call: Call, ms: number): void {
  if (call.waitUntil > 0) call.waitUntil = Math.max(1, call.waitUntil - ms);
}
