import type * as memoryEntry from "../../src/memory.js";

/** What every entry of the package exports besides `connect`. */
export type Entry = Omit<typeof memoryEntry, "connect">;
export type Backend = memoryEntry.Backend;

/**
 * What a case may use: the package's public API on one backend, and that backend's clock. Nothing of the package is
 * imported by the cases themselves, so that the same files run against the sources and against the built package.
 */
export interface World {
  /** The backend's name in the table, such as "memory" or "hub+indexeddb". */
  readonly name: string;
  readonly backend: Backend;
  /** The factories bound to this backend, and the rest of the entry as it is. */
  readonly ratelimit: Entry["ratelimit"];
  readonly mutex: Entry["mutex"];
  readonly queue: Entry["queue"];
  readonly topic: Entry["topic"];
  readonly job: Entry["job"];
  readonly scheduler: Entry["scheduler"];
  readonly registry: Entry["registry"];
  readonly ephemeral: Entry["ephemeral"];
  readonly entry: Entry;
  /** Moves the backend's clock; what is due by then has happened when this resolves. */
  advance(ms: number): Promise<void>;
  /** An id that no other case uses. */
  id(): string;
  /** Another tab on the same state. Backends without tabs throw: their cases are skipped. */
  tab(): World;
  /** Another backend with state of its own, for cases that close it. */
  fresh(): World;
  /** Closes the backends that `tab` and `fresh` made. */
  close(): Promise<void>;
}

export type Primitive =
  "retry" | "ratelimit" | "mutex" | "queue" | "topic" | "job" | "scheduler" | "registry" | "ephemeral" | "inspect";

export interface Case {
  readonly primitive: Primitive;
  readonly name: string;
  /** By backend name: why the case does not run there. */
  readonly skip: Readonly<Record<string, string>>;
  run(world: World): Promise<void>;
}

type Run = Case["run"];

/** Cases by name; an entry with `skip` says where it does not run, and why. */
export function cases(
  primitive: Primitive,
  table: Record<string, Run | { skip: Record<string, string>; run: Run }>,
): Case[] {
  return Object.entries(table).map(([name, entry]) =>
    typeof entry === "function" ? { primitive, name, skip: {}, run: entry } : { primitive, name, ...entry },
  );
}

const ONE = "a memory backend has one tab";
/** For cases with several tabs. */
export const ONE_TAB = { memory: ONE, store: ONE };

export interface WorldOptions {
  name: string;
  entry: Entry;
  connect: (space: string) => Backend;
  /** Given to every handle that does not ask for another. */
  durability?: memoryEntry.Durability;
}

let lastId = 0;

/** A world in a space of its own. */
export function createWorld(options: WorldOptions, space: string = nextId("space")): World {
  const { name, entry, connect, durability } = options;
  const backend = connect(space);
  const opened: World[] = [];
  const defaults = { backend, ...(durability === undefined ? {} : { durability }) };
  const open = (inSpace: string): World => {
    const world = createWorld(options, inSpace);
    opened.push(world);
    return world;
  };
  const bound = <Factory extends (options: never) => unknown>(factory: Factory): Factory =>
    ((settings: object) => factory({ ...defaults, ...settings } as never)) as unknown as Factory;
  return {
    name,
    backend,
    entry,
    ratelimit: bound(entry.ratelimit),
    mutex: bound(entry.mutex),
    queue: bound(entry.queue),
    topic: bound(entry.topic),
    job: bound(entry.job),
    scheduler: bound(entry.scheduler),
    registry: bound(entry.registry),
    ephemeral: bound(entry.ephemeral),
    advance: (ms) => backend.advanceClock(ms),
    id: () => nextId("case"),
    tab: () => open(space),
    fresh: () => open(nextId("space")),
    async close() {
      await Promise.all([...opened.map((world) => world.close()), backend.close()]);
    },
  };
}

/** Differs between runs too: durable backends may still hold what an earlier run left. */
function nextId(what: string): string {
  return `${what}-${performance.timeOrigin.toString(36)}-${++lastId}`;
}
