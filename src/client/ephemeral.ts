import type { EntryRecord, EntryStamp, EphemeralConfig, EphemeralWrite } from "../protocol/commands.js";
import { newId } from "../protocol/ids.js";
import { utf8Bytes } from "../protocol/json.js";
import type { Maybe, Port } from "./backend.js";
import { Bindings } from "./bindings.js";
import { entryKey } from "./entry-keys.js";
import { createEntryReader } from "./entry-reader.js";
import { readAll, readOne } from "./entry-values.js";
import type { Ephemeral, EphemeralEntry, EphemeralOptions, EphemeralUpsert } from "./ephemeral-types.js";
import type { Flavour } from "./flavour.js";
import { Handle } from "./handle.js";
import { andThen, promised } from "./maybe.js";
import { duration, integer, oneOf, optionalText } from "./ranges.js";
import type { OutputOf, Schema } from "./schema.js";
import { decodeValue, encodeAndRead } from "./values.js";

const MINUTES_5 = 300_000;

/** The `ephemeral` factory over a flavour's backend. */
export function createEphemeralFactory(flavour: Flavour) {
  /**
   * Entries that end by themselves, seen by every tab: who is here, who types, where each cursor stands.
   *
   * @throws `ValidationError` for a bad id; `RangeError` for a ttl or limits out of range.
   * @example
   * const presence = ephemeral({ id: "presence", schema: z.object({ name: z.string() }), ttlMs: 30_000 });
   * await presence.upsert({ key: userId, value: { name: "Ada" }, bound: "tab" });
   * const { entries, cursor } = await presence.snapshot();
   * for await (const event of presence.reader({ after: cursor }).stream()) apply(event);
   */
  return function ephemeral<S extends Schema>(options: EphemeralOptions<S>): Ephemeral<S> {
    const handle = new Handle("ephemeral", flavour, options, configOf(options), "memory");
    const ttlMs = duration("ttlMs", options.ttlMs);
    const bindings = new HandleBindings(handle);
    const { schema } = options;
    return {
      upsert: (given) =>
        promised(() => {
          const port = handle.port(given.tenantId);
          return handle.inOrder(prepare(schema, given, ttlMs), (prepared) => upsert(port, bindings, prepared));
        }),
      touch: (given) => handle.ask(given.tenantId, (port) => touch(port, bindings, given.key, given.ttlMs ?? ttlMs)),
      remove: (given) =>
        handle.ask(given.tenantId, (port) => {
          const key = entryKey("key", given.key);
          const reason = optionalText("reason", given.reason);
          bindings.at(port)?.forget(key);
          return port.call("ephemeral.remove", { key, reason });
        }),
      get: ({ key, tenantId }) =>
        handle.ask(tenantId, (port) =>
          andThen(port.call("ephemeral.get", { key: entryKey("key", key) }), (record) => {
            if (record === null) return null;
            return andThen(decodeValue(schema, record.value), (value) => readEntry(record, value));
          }),
        ),
      snapshot: (given) =>
        handle.ask(given?.tenantId, (port) =>
          andThen(port.call("ephemeral.snapshot", scopeOf(given?.prefix)), ({ entries: records, cursor }) =>
            andThen(readAll(schema, records, readEntry<OutputOf<S>>), (entries) => ({ entries, cursor })),
          ),
        ),
      reader: ({ prefix, after, tenantId } = {}) =>
        createEntryReader({
          kind: "ephemeral",
          handle,
          tenantId,
          after,
          scope: scopeOf(prefix),
          read: (record) => readOne(schema, record, readEntry<OutputOf<S>>),
        }),
      stats: (cfg) => handle.ask(cfg?.tenantId, (port) => port.call("ephemeral.stats", {})),
      close: () => bindings.close(),
      [Symbol.asyncDispose]: () => bindings.close(),
    };
  };
}

function configOf<S extends Schema>({ limits = {} }: EphemeralOptions<S>): EphemeralConfig {
  return {
    maxEntries: integer("maxEntries", limits.maxEntries ?? 10_000, { min: 1 }),
    maxPayloadBytes: integer("maxPayloadBytes", limits.maxPayloadBytes ?? 4096, { min: 1 }),
    eventRetentionMs: duration("eventRetentionMs", limits.eventRetentionMs ?? MINUTES_5),
    eventMaxLen: integer("eventMaxLen", limits.eventMaxLen ?? 50_000, { min: 1 }),
  };
}

function scopeOf(prefix: string | undefined): { prefix?: string } {
  return prefix === undefined ? {} : { prefix: entryKey("prefix", prefix) };
}

interface Prepared<Data> {
  body: EphemeralWrite;
  bound: boolean;
  /** As it will be read. */
  value: Data;
}

function prepare<S extends Schema>(
  schema: S,
  given: EphemeralUpsert<unknown>,
  ttlMs: number,
): Maybe<Prepared<OutputOf<S>>> {
  const key = entryKey("key", given.key);
  return andThen(encodeAndRead(schema, given.value), ({ text, value }) => ({
    body: { key, value: text, bytes: utf8Bytes(text), ttlMs: duration("ttlMs", given.ttlMs ?? ttlMs) },
    bound: given.bound !== undefined && oneOf("bound", given.bound, ["tab"]) === "tab",
    value,
  }));
}

function upsert<Data>(
  port: Port,
  bindings: HandleBindings,
  { body, bound, value }: Prepared<Data>,
): Maybe<EphemeralEntry<Data>> {
  const { key } = body;
  const held = bound ? bindings.open(port) : undefined;
  if (bound) body.handle = bindings.name;
  return andThen(port.call("ephemeral.upsert", body), (stamp) => {
    if (held) held.keep(key, body.value, stamp);
    else bindings.at(port)?.forget(key);
    return entryOf(key, stamp, value);
  });
}

function touch(port: Port, bindings: HandleBindings, key: string, ttlMs: number) {
  const body = { key: entryKey("key", key), ttlMs: duration("ttlMs", ttlMs) };
  return andThen(port.call("ephemeral.touch", body), (end) => {
    if (end) bindings.at(port)?.touched(key, end.version, ttlMs);
    else bindings.at(port)?.forget(key);
    return { ok: end !== null, ...end };
  });
}

/** The bindings of a handle at each of its instances. */
class HandleBindings {
  /** Names this handle among those of its tab, and after the tab came back under another name. */
  readonly name = newId();
  readonly #handle: Handle<"ephemeral">;
  readonly #byPort = new Map<Port, Bindings>();

  constructor(handle: Handle<"ephemeral">) {
    this.#handle = handle;
  }

  at(port: Port): Bindings | undefined {
    return this.#byPort.get(port);
  }

  /** In line before the call that binds. */
  open(port: Port): Bindings {
    let bindings = this.#byPort.get(port);
    if (bindings === undefined) this.#byPort.set(port, (bindings = new Bindings(port, this.name)));
    return bindings;
  }

  /** Ends the handle, and what is bound to it. */
  async close(): Promise<void> {
    const handle = this.#handle;
    if (handle.closed) return;
    // Behind the calls that were made before, which may bind more.
    const unbound = promised(() => handle.inOrder(undefined, () => this.#end()));
    handle.close();
    await unbound;
  }

  async #end(): Promise<void> {
    const ended = Array.from(this.#byPort, async ([port, bindings]) => {
      bindings.close();
      await port.call("ephemeral.unbind", { handle: this.name });
    });
    // A backend that is closed has ended them already; one that is out of reach ends them with the tab.
    await Promise.allSettled(ended);
  }
}

function readEntry<Data>(record: EntryRecord, value: Data): EphemeralEntry<Data> {
  return entryOf(record.key, record, value);
}

function entryOf<Data>(
  key: string,
  { version, createdAt, updatedAt, expiresAt }: Pick<EntryStamp, "version" | "createdAt" | "updatedAt" | "expiresAt">,
  value: Data,
): EphemeralEntry<Data> {
  return { key, value, version, createdAt, updatedAt, expiresAt: expiresAt! };
}
