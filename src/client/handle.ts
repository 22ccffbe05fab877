import type { Configs, Durability, Kind } from "../protocol/commands.js";
import { ValidationError, closedError } from "../protocol/errors.js";
import type { Backend, InstanceSpec, Maybe, Port } from "./backend.js";
import type { Flavour } from "./flavour.js";
import type { Schema } from "./schema.js";
import type { Store } from "./store.js";
import { isPromise, promised } from "./maybe.js";
import { identifier, oneOf } from "./ranges.js";

/** Options that every primitive takes. */
export interface HandleOptions {
  /** Names the instance: handles with the same id share all state. 1–256 characters. */
  id: string;
  /** A namespace in front of the id, such as the app's name. */
  prefix?: string;
  /** Separates customers: another tenant is another instance. Default "default"; calls may name another. */
  tenantId?: string;
  /** Where the instance lives; default: the flavour's own backend. */
  backend?: Backend;
  /** Where the memory flavour keeps its state: handles on the same store share it. Other flavours refuse it. */
  store?: Store;
  /**
   * "memory" dies with the hub, "relaxed" survives tab and browser, "strict" is flushed before the answer. Default
   * "relaxed"; of ratelimit, mutex and ephemeral "memory", unless they are given a `store`.
   */
  durability?: Durability;
}

const SCHEMALESS: readonly Kind[] = ["ratelimit", "mutex", "scheduler"];

/** What the handle of each primitive has in common: its ports, the order of its calls, its end. */
export class Handle<K extends Kind> {
  readonly closing = new AbortController();
  readonly #kind: K;
  readonly #flavour: Flavour;
  readonly #options: HandleOptions;
  readonly #config: Configs[K];
  readonly #durability: Durability;
  readonly #ports = new Map<string, Port>();
  #backend: Backend | undefined;
  /** Settles when the last call that had to wait was given to the backend. */
  #tail: Promise<void> | undefined;

  constructor(kind: K, flavour: Flavour, options: HandleOptions, config: Configs[K], durability: Durability) {
    identifier("id", options.id);
    const { schema } = options as { schema?: Partial<Schema> };
    if (!SCHEMALESS.includes(kind) && typeof schema?.["~standard"]?.validate !== "function") {
      throw new ValidationError("schema must be a Standard Schema, as zod, valibot and arktype make them");
    }
    if (options.tenantId !== undefined) identifier("tenantId", options.tenantId);
    this.#kind = kind;
    this.#flavour = flavour;
    this.#options = options;
    this.#config = config;
    this.#durability = oneOf("durability", options.durability ?? (options.store ? "relaxed" : durability), [
      "memory",
      "relaxed",
      "strict",
    ]);
  }

  get closed(): boolean {
    return this.closing.signal.aborted;
  }

  /** Ends what is under way. None once closed: what begins then is not ended but refused. */
  get ending(): AbortSignal | undefined {
    return this.closed ? undefined : this.closing.signal;
  }

  close(): void {
    this.closing.abort(closedError(this.#kind));
  }

  /** Throws `CLOSED` once the handle is. */
  assertOpen(): void {
    if (this.closed) throw closedError(this.#kind);
  }

  /** Binds it to its backend, as its first call does. */
  bind(): Backend {
    return (this.#backend ??= this.#choose());
  }

  #choose(): Backend {
    const { backend, store } = this.#options;
    if (store === undefined) return backend ?? this.#flavour.bind();
    if (backend !== undefined) throw new ValidationError("give a handle either `backend` or `store`, not both");
    return this.#flavour.bindStore(store);
  }

  /** What names the instance of a tenant, and its settings. */
  spec(tenantId: string = this.#options.tenantId ?? "default"): InstanceSpec<K> {
    return {
      name: {
        prefix: this.#options.prefix ?? "",
        kind: this.#kind,
        tenantId: identifier("tenantId", tenantId),
        id: this.#options.id,
      },
      config: this.#config,
      durability: this.#durability,
    };
  }

  /** The instance of a tenant. */
  port(tenantId: string = this.#options.tenantId ?? "default"): Port {
    this.assertOpen();
    let port = this.#ports.get(tenantId);
    if (port === undefined) {
      port = this.bind().port(this.spec(tenantId));
      this.#ports.set(tenantId, port);
    }
    return port;
  }

  /** A call that needs no preparation, in its turn. */
  ask<T>(tenantId: string | undefined, call: (port: Port) => Maybe<T>): Promise<T> {
    return promised(() => {
      const port = this.port(tenantId);
      return this.inOrder(undefined, () => call(port));
    });
  }

  /**
   * Gives calls to the backend in the order in which they were made, also when a schema takes its time: `issue` runs
   * once what it needs is there and every earlier call was issued.
   */
  inOrder<T, R>(prepared: Maybe<T>, issue: (prepared: T) => Maybe<R>): Maybe<R> {
    if (this.#tail === undefined && !isPromise(prepared)) return issue(prepared);
    let issued!: () => void;
    const before = this.#tail;
    const tail = new Promise<void>((resolve) => (issued = resolve));
    this.#tail = tail;
    const run = async (): Promise<R> => {
      try {
        const [value] = await Promise.all([prepared, before]);
        // Not awaited here: the next call is issued as soon as this one is, not when it is answered.
        return issue(value) as R;
      } finally {
        // Also when this one failed: its successor may not overtake those before it.
        await before;
        issued();
        if (this.#tail === tail) this.#tail = undefined;
      }
    };
    return run();
  }
}
