import type { EntryScope, RegistryConfig, RegistryOperation, RegistryWrite } from "../protocol/commands.js";
import { ValidationError } from "../protocol/errors.js";
import { utf8Bytes } from "../protocol/json.js";
import type { Maybe, Port } from "./backend.js";
import { pathKey, pathPrefix } from "./entry-keys.js";
import { createEntryReader } from "./entry-reader.js";
import { readOne } from "./entry-values.js";
import type { Flavour } from "./flavour.js";
import { Handle } from "./handle.js";
import { andThen, promised } from "./maybe.js";
import { duration, integer, oneOf, optionalText } from "./ranges.js";
import type {
  Registry,
  RegistryCasOptions,
  RegistryListOptions,
  RegistryOptions,
  RegistryPage,
  RegistryReaderOptions,
  RegistryRemoveOptions,
  RegistryTransaction,
  RegistryTransactionStep,
  RegistryUpsert,
} from "./registry-types.js";
import type { OutputOf, Schema } from "./schema.js";
import { RegistryValues, entryOf } from "./registry-values.js";
import { encodeAndRead, encodeMeta } from "./values.js";

const MINUTES_5 = 300_000;
const MAX_PAGE = 1000;
const MAX_STEPS = 1000;

/** The `registry` factory over a flavour's backend. */
export function createRegistryFactory(flavour: Flavour) {
  /**
   * Entries by key that every tab shares: durable, versioned, with an optional ttl, and followed live.
   *
   * @throws `ValidationError` for a bad id; `RangeError` for limits out of range.
   * @example
   * const flags = registry({ id: "flags", schema: z.object({ on: z.boolean() }) });
   * await flags.upsert({ key: "ui/dark", value: { on: true } });
   * const { entries, cursor } = await flags.list({ prefix: "ui/" });
   * for await (const event of flags.reader({ prefix: "ui/", after: cursor }).stream()) apply(event);
   */
  return function registry<S extends Schema>(options: RegistryOptions<S>): Registry<S> {
    const handle = new Handle("registry", flavour, options, configOf(options), "relaxed");
    const values = new RegistryValues(options);
    const close = async (): Promise<void> => handle.close();
    const { schema } = options;
    return {
      upsert: (given) =>
        write(handle, schema, given, (port, body, value) =>
          andThen(port.call("registry.upsert", body), (stamp) => values.made(port, body, stamp, value)),
        ),
      create: (given) =>
        write(handle, schema, given, (port, body, value) =>
          andThen(port.call("registry.create", body), (reply) => {
            if (reply.ok) return { ok: true, entry: values.made(port, body, reply.stamp, value) };
            const there = reply.entry ? values.readable(port, [reply.entry]) : [];
            return andThen(there, ([entry]) => ({ ok: false, ...(entry && { entry }) }));
          }),
        ),
      cas: (given) =>
        write(handle, schema, withoutTtl(given), (port, body, value) =>
          andThen(port.call("registry.cas", { ...body, version: versionOf(given) }), (stamp) =>
            stamp ? { ok: true, entry: values.made(port, body, stamp, value) } : { ok: false },
          ),
        ),
      touch: ({ key, tenantId }) =>
        handle.ask(tenantId, (port) =>
          andThen(port.call("registry.touch", { key: pathKey("key", key) }), (end) => ({ ok: end !== null, ...end })),
        ),
      remove: (given) => handle.ask(given.tenantId, (port) => port.call("registry.remove", removal(given))),
      get: ({ key, includeExpired, tenantId }) =>
        handle.ask(tenantId, (port) =>
          andThen(
            port.call("registry.get", { key: pathKey("key", key), includeExpired: includeExpired === true }),
            (record) => (record ? values.read(port, record) : null),
          ),
        ),
      list: (given = {}) => handle.ask(given.tenantId, (port) => list(port, values, given)),
      transact: (steps, cfg) => transact(handle, schema, values, steps, cfg?.tenantId),
      reader: (given = {}) => {
        const { after, tenantId } = given;
        return createEntryReader({
          kind: "registry",
          handle,
          tenantId,
          after,
          scope: scopeOf(given),
          read: (record) => readOne(schema, record, entryOf<OutputOf<S>>),
        });
      },
      stats: (cfg) => handle.ask(cfg?.tenantId, (port) => port.call("registry.stats", {})),
      close,
      [Symbol.asyncDispose]: close,
    };
  };
}

function configOf<S extends Schema>({ limits = {} }: RegistryOptions<S>): RegistryConfig {
  return {
    maxEntries: integer("maxEntries", limits.maxEntries ?? 10_000, { min: 1 }),
    maxPayloadBytes: integer("maxPayloadBytes", limits.maxPayloadBytes ?? 131_072, { min: 1 }),
    eventRetentionMs: duration("eventRetentionMs", limits.eventRetentionMs ?? MINUTES_5),
    eventMaxLen: integer("eventMaxLen", limits.eventMaxLen ?? 50_000, { min: 1 }),
    tombstoneRetentionMs: duration("tombstoneRetentionMs", limits.tombstoneRetentionMs ?? MINUTES_5),
    reconcileBatchSize: integer("reconcileBatchSize", limits.reconcileBatchSize ?? 200, { min: 1 }),
  };
}

function write<S extends Schema, R>(
  handle: Handle<"registry">,
  schema: S,
  given: RegistryUpsert<unknown> & { tenantId?: string },
  issue: (port: Port, body: RegistryWrite, value: OutputOf<S>) => Maybe<R>,
): Promise<R> {
  return promised(() => {
    const port = handle.port(given.tenantId);
    return handle.inOrder(prepare(schema, given), ({ body, value }) => issue(port, body, value));
  });
}

/** `value`: as it will be read. In the documented order: key, schema, ranges; size and capacity are the instance's. */
function prepare<S extends Schema>(
  schema: S,
  given: RegistryUpsert<unknown>,
): Maybe<{ body: RegistryWrite; value: OutputOf<S> }> {
  const key = pathKey("key", given.key);
  return andThen(encodeAndRead(schema, given.value), ({ text, value }) => {
    const body: RegistryWrite = { key, value: text, bytes: utf8Bytes(text) };
    const meta = encodeMeta(given.meta);
    if (meta !== undefined) {
      body.meta = meta;
      body.bytes += utf8Bytes(meta);
    }
    if (given.ttlMs !== undefined) body.ttlMs = duration("ttlMs", given.ttlMs);
    return { body, value };
  });
}

/** For `cas`, which may be given an entry as it was read, with another value. */
function withoutTtl<T extends RegistryCasOptions<unknown>>(given: T): T & { ttlMs?: undefined } {
  return { ...given, ttlMs: undefined };
}

function versionOf({ version }: RegistryCasOptions<unknown>): string {
  if (typeof version === "string" && version !== "") return version;
  throw new ValidationError("version must be that of an entry");
}

function removal({ key, reason }: RegistryRemoveOptions): { key: string; reason: string | undefined } {
  return { key: pathKey("key", key), reason: optionalText("reason", reason) };
}

function scopeOf({ key, prefix }: RegistryReaderOptions): EntryScope {
  if (key === undefined) return prefix === undefined ? {} : { prefix: pathPrefix(prefix) };
  if (prefix === undefined) return { key: pathKey("key", key) };
  throw new ValidationError("give a reader `key` or `prefix`, not both");
}

function list<S extends Schema>(
  port: Port,
  values: RegistryValues<S>,
  { prefix, status = "active", limit = MAX_PAGE, afterKey }: RegistryListOptions,
): Maybe<RegistryPage<OutputOf<S>>> {
  const body = {
    status: oneOf("status", status, ["active", "expired"]),
    limit: integer("limit", limit, { min: 1, max: MAX_PAGE }),
    prefix: prefix === undefined ? prefix : pathPrefix(prefix),
    afterKey: afterKey === undefined ? afterKey : pathKey("afterKey", afterKey),
  };
  if (afterKey !== undefined && !afterKey.startsWith(prefix ?? "")) {
    throw new ValidationError("afterKey must begin with prefix");
  }
  return andThen(port.call("registry.list", body), (page) =>
    andThen(values.readable(port, page.entries), (entries) => ({ ...page, entries })),
  );
}

async function transact<S extends Schema>(
  handle: Handle<"registry">,
  schema: S,
  values: RegistryValues<S>,
  steps: readonly RegistryTransactionStep<unknown>[],
  tenantId: string | undefined,
): Promise<RegistryTransaction<OutputOf<S>>> {
  const port = handle.port(tenantId);
  if (steps.length > MAX_STEPS) throw new RangeError(`transact takes at most ${MAX_STEPS} steps, not ${steps.length}`);
  const preparing = Promise.all(steps.map(async (step) => prepareStep(schema, step)));
  return handle.inOrder(preparing, async (prepared) => {
    const reply = await port.call("registry.transact", { ops: prepared.map(({ op }) => op) });
    if (!reply.ok) return reply;
    const entries = prepared.map(({ op, value }, i) =>
      op.op === "remove" ? null : values.made(port, op, reply.stamps[i]!, value as OutputOf<S>),
    );
    return { ok: true, entries };
  });
}

function prepareStep<S extends Schema>(
  schema: S,
  step: RegistryTransactionStep<unknown>,
): Maybe<{ op: RegistryOperation; value?: OutputOf<S> }> {
  const { op } = step;
  if (op === "remove") return { op: { op, ...removal(step) } };
  oneOf("op", op, ["upsert", "create", "cas"]);
  return andThen(prepare(schema, op === "cas" ? withoutTtl(step) : step), ({ body, value }) => ({
    op: op === "cas" ? { op, ...body, version: versionOf(step) } : { op, ...body },
    value,
  }));
}
