import type { Body, CommandName, Configs, Durability, InstanceName, Kind, Reply } from "../protocol/commands.js";
import type { InstanceEvent } from "../protocol/events.js";
import type { HostingMode } from "./dialer.js";

/** Either the value now, or a promise of it: backends in this thread answer without a detour. */
export type Maybe<T> = T | Promise<T>;

export interface InstanceSpec<K extends Kind = Kind> {
  name: InstanceName & { kind: K };
  config: Configs[K];
  durability: Durability;
}

export interface CallOptions {
  /** Gives the call up. What it may have been handed by then is given to `onLate`. */
  signal?: AbortSignal | undefined;
  /** Called instead of the result when the call was given up before its result came. */
  onLate?: (reply: never) => void;
}

/** One instance of a backend, as a handle sees it. Opened with its first call, again after every hub's death. */
export interface Port {
  /**
   * Runs a command. Rejects with `AbortError` when the signal aborts first, `TIMEOUT` when no answer comes, and what
   * the command itself rejects with. Calls of one port take effect in call order.
   */
  call<Op extends CommandName>(op: Op, body: Body<Op>, options?: CallOptions): Maybe<Reply<Op>>;
  /** Hears the instance's events, from the calls on that are made after this one; returns how to stop. */
  listen(listener: FeedListener): () => void;
  /**
   * Asked at every new hub, before any other call, for what that hub must be told anew: a lock that is held, a handler
   * that is there. undefined: nothing. Returns how to stop.
   * Also asked when this tab only connects again to the hub that it knew (`remembers`), which may have ended its session.
   */
  reassert(tell: (hub: { remembers: boolean }) => Reassertion | undefined): () => void;
}

/** A call that tells a new hub what its predecessor knew. */
export interface Reassertion<Op extends CommandName = CommandName> {
  readonly op: Op;
  readonly body: Body<Op>;
  /** The hub's answer; not called when it died as well. */
  readonly answered?: (reply: Reply<Op>) => void;
  readonly refused?: (error: unknown) => void;
}

export interface FeedListener {
  /** Events in order, each once. */
  event(event: InstanceEvent, n: number): void;
  /** Events may have been missed (another hub, a frozen tab): read from the instance to catch up. */
  resync(): void;
}

export interface BackendStatus {
  /** Where the hub runs; "memory": the memory flavour; "redis": a server does its work. */
  mode: HostingMode | "memory" | "redis";
  /**
   * blocked: the storage waits for an older build to let it go, in a tab that should be reloaded. failed: the storage
   * cannot be opened just now; it is tried again, and calls wait as long as they may. `problem` says more.
   */
  state: "connecting" | "loading" | "blocked" | "ready" | "failed" | "closed";
  /** Of the hub that answers; changes when another hub takes over. */
  epoch: string;
  connected: boolean;
  /** Names this tab among those that hold messages (`peek().by`). */
  tabId: string;
  /** Whether anything survives. */
  durable: boolean;
  /** Why nothing survives, or why calls wait. */
  problem?: string | undefined;
  /** How the Redis server keeps data, as far as it tells: what a crash of it may cost (docs/server.md). */
  persistence?: "none" | "snapshots" | "aof-no" | "aof-everysec" | "aof-always";
  /** Whether the browser keeps this origin's data when the disk gets full; known after `connect({ persist: true })`. */
  persisted?: boolean;
  /** Tabs in touch with the hub. */
  tabs: number;
  version: string;
  /** A newer build keeps this space in a way that this one does not know: reload the page. Calls reject `VERSION`. */
  upgradeRequired: boolean;
}

/** What hosts instances: a hub shared by all tabs, this thread's memory, a Redis server. */
export interface Backend {
  readonly status: BackendStatus;
  /** Called after every change of `status`; returns how to stop. */
  onStatus(listener: (status: BackendStatus) => void): () => void;
  port<K extends Kind>(spec: InstanceSpec<K>): Port;
  /** The space itself: `space.*` commands, and its trace to those who listen. */
  readonly root: Port;
  /** Hands back what this tab holds; calls then reject with `CLOSED`. */
  close(): Promise<void>;
  /** Moves the backend's clock. Only for backends made with `testClock`. */
  advanceClock(ms: number): Promise<void>;
}
