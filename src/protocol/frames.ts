import type { Body, CommandName } from "./commands.js";
import type { WireError } from "./errors.js";

/** What a hub exposes to a tab: two flat methods, JSON text in, JSON text out (docs/decisions/0002). */
export interface HubFacade {
  /** A frame of calls. Resolves with the first of its answers; the others come through `pull`. */
  call(frame: string): Promise<string>;
  /**
   * Resolves with answers that came too late for their own frame. Each tab keeps one pull open. `asked`: the tab's id and
   * the epoch that it knows, with a space between them.
   */
  pull(asked: string): Promise<string>;
}

/** Sent once per connection, alone in its frame. */
export interface HelloFrame {
  kind: "hello";
  /** Tab and incarnation; its lock is held before this is sent. */
  tab: string;
  protocol: number;
  /** Build of the tab's code, for diagnosis. */
  version: string;
  /** The hub's own thread, which is no tab. */
  own?: true;
  /** How long it was in the back/forward cache before this incarnation. */
  asleepMs?: number | undefined;
  /** How much of what waits this tab lets the hub keep in memory. */
  payloadBudgetBytes?: number | undefined;
  /** Lets this hub's clock be moved by `clock` frames. Tests only. */
  testClock?: boolean;
}

export interface Welcome extends HubStatus {
  /** Names this hub's liveness lock: the worker's life, however many epochs it has. */
  hubId: string;
  /** This tab has been here before, and nothing of it was given up since. */
  known: boolean;
  /** Nobody knows any more what became of the calls of its earlier incarnations. */
  forgotten?: true;
  /** It was taken for dead: it must come as its next incarnation. */
  ended?: true;
  protocol: number;
  version: string;
}

export interface HubStatus {
  /** Of the memory that answers: another epoch has forgotten what was not durable. */
  epoch: string;
  state: HubState;
  durable: boolean;
  /** Why nothing is kept, or why calls wait. */
  problem?: string | undefined;
  /** Names the data; another one than before: everything was deleted in between. Known when `ready`. */
  lineage?: string | undefined;
  /** Tabs in touch with this hub. */
  tabs: number;
}

/**
 * loading: calls queue. waiting: another hub owns the space. blocked: an older build has the database open. failed: the
 * storage cannot be opened just now, and is tried again.
 */
export type HubState = "waiting" | "loading" | "blocked" | "ready" | "failed";

/** Instead of an instance number: the space itself. */
export const SPACE_REF = -1;

/** [sequence, instance number of this tab, command, body] */
export type WireCall = [seq: number, ref: number, op: CommandName, body: Body<CommandName>];

export interface CallFrame {
  kind: "calls";
  tab: string;
  /** That the tab knows. Sent to an earlier one, calls would meet a memory that nothing was opened in. */
  epoch: string;
  /** The lowest sequence the tab still waits for: finished replies below it may be forgotten. */
  below: number;
  /** Calls below it that the tab waits for all the same: those that may wait for ever would keep everything else. */
  waiting?: number[];
  calls: WireCall[];
  /** Sequences of waiting calls that their caller gave up. */
  cancel?: number[];
  /** More frames are coming in which the tab tells this hub what it must know: what is open, what is held. */
  untold?: true;
  /** Calls up to this one were sent to a hub whose memory is gone. */
  lost?: number;
}

export interface PingFrame {
  kind: "ping";
  tab: string;
}

export interface GoodbyeFrame {
  kind: "goodbye";
  tab: string;
  /** It goes to sleep, and may come back as its next incarnation. */
  park?: true;
}

/** Moves the hub's clock. Refused unless the hub was opened with `testClock`. */
export interface ClockFrame {
  kind: "clock";
  tab: string;
  advanceMs: number;
}

export type ClientFrame = HelloFrame | CallFrame | PingFrame | GoodbyeFrame | ClockFrame;

/** [sequence, value] or [sequence, null, error] */
export type WireReply = [seq: number, value: unknown] | [seq: number, value: null, error: WireError];

export interface ReplyFrame {
  epoch: string;
  replies: WireReply[];
  /** When it changed. */
  status?: HubStatus;
  /** The hub has forgotten this tab, or does not own the space any more: connect again. */
  reset?: boolean;
}
