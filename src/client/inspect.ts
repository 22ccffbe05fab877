import type { InstanceInfo, InstanceName, TraceEntry } from "../protocol/commands.js";
import type { Json } from "../protocol/json.js";
import type { Backend } from "./backend.js";
import { promised } from "./maybe.js";
import { integer } from "./ranges.js";
import { anySignal } from "./signals.js";
import { iterator } from "./stream.js";

/** Of a trace that nobody reads, the rest is dropped. */
const BUFFERED = 10_000;

/** Where a backend keeps things, and how much room there is. */
export interface BackendStats {
  /** Whether anything survives; `backend.status.problem` says why not. */
  durable: boolean;
  /** Bytes that this origin uses of its storage, everything of the app included, as the browser estimates it. */
  usageBytes?: number;
  /** Bytes that it may use; the browser may have less. */
  quotaBytes?: number;
  /** Whether the browser keeps this origin's data when the disk gets full. */
  persisted?: boolean;
}

/** A look at everything that a backend hosts. It takes nothing and changes nothing. */
export interface Inspector {
  /** Every instance with kind, id, tenant, configuration and stats. */
  instances(): Promise<InstanceInfo[]>;
  /** Storage: what the browser tells of it. Without a browser, or where it does not tell, only `durable`. */
  stats(): Promise<BackendStats>;
  /**
   * What an instance holds: messages, events, jobs, entries, locks, counters, with payloads as JSON text; at most
   * `limit` of them, default 100.
   */
  peek(name: InstanceName, options?: { limit?: number }): Promise<Json[]>;
  /**
   * Commands as they are answered and events as they are announced, from now on, until the signal aborts. For
   * debugging: while somebody follows, every command is broadcast. Entries may be missing when a hub dies, and the oldest
   * of more than 10,000 that nobody has taken.
   */
  trace(options?: { signal?: AbortSignal }): AsyncIterableIterator<TraceEntry>;
}

/**
 * Looks into a backend.
 *
 * @example
 * const inspector = inspect(backend);
 * for (const { name, stats } of await inspector.instances()) console.log(name.kind, name.id, stats);
 */
export function inspect(backend: Backend): Inspector {
  const { root } = backend;
  return {
    instances: () => promised(() => root.call("space.instances", {})),
    stats: () => storageStats(backend),
    peek: (name, { limit = 100 } = {}) =>
      promised(() => root.call("space.peek", { name, limit: integer("limit", limit, { min: 1, max: 10_000 }) })),
    trace: ({ signal } = {}) => trace(backend, signal),
  };
}

async function storageStats({ status }: Backend): Promise<BackendStats> {
  const storage = globalThis.navigator?.storage;
  // Both are refused in opaque origins.
  const [estimate, persisted] = await Promise.all([
    storage?.estimate?.().catch(() => undefined),
    storage?.persisted?.().catch(() => undefined),
  ]);
  return {
    durable: status.durable,
    ...(estimate?.usage === undefined ? {} : { usageBytes: estimate.usage }),
    ...(estimate?.quota === undefined ? {} : { quotaBytes: estimate.quota }),
    ...(persisted === undefined ? {} : { persisted }),
  };
}

function trace({ root }: Backend, given: AbortSignal | undefined): AsyncIterableIterator<TraceEntry> {
  const stopped = new AbortController();
  const { signal, release } = anySignal(stopped.signal, given);
  const entries: TraceEntry[] = [];
  let wake: (() => void) | undefined;
  const unlisten = root.listen({
    event(event) {
      if (event.type === "space.traced") entries.push(event.entry);
      if (entries.length > BUFFERED) entries.shift();
      wake?.();
    },
    resync() {},
  });
  const finish = (): IteratorReturnResult<undefined> => {
    unlisten();
    release();
    return { done: true, value: undefined };
  };
  const stop = (): void => {
    // Not only when somebody asks again: nobody may.
    unlisten();
    wake?.();
  };
  if (signal.aborted) stop();
  else signal.addEventListener("abort", stop, { once: true });
  return iterator(
    async () => {
      while (entries.length === 0 && !signal.aborted) await new Promise<void>((resolve) => (wake = resolve));
      return signal.aborted ? finish() : { done: false, value: entries.shift()! };
    },
    () => stopped.abort(),
    finish,
  );
}
