import type { JobBackoff, JobConfig, JobItem, JobOutcome, JobRecord } from "../protocol/commands.js";
import { AbortError, ValidationError, closedError } from "../protocol/errors.js";
import { newId } from "../protocol/ids.js";
import { utf8Bytes } from "../protocol/json.js";
import type { Maybe } from "./backend.js";
import type { Flavour } from "./flavour.js";
import { Handle } from "./handle.js";
import { HandlerLoop } from "./handler-loop.js";
import { FOREVER_MS } from "./job-context.js";
import { jobEvents } from "./job-events.js";
import { linkJob } from "./job-link.js";
import type { Job, JobInfo, JobOptions, JobOutcomeOf, SubmitOptions, Submitted } from "./job-types.js";
import { andThen, isPromise, promised } from "./maybe.js";
import { delay, duration, integer, oneOf, optionalText } from "./ranges.js";
import type { InputOf, Schema } from "./schema.js";
import { decodeMeta, encodeMeta, encodeValue, fromText } from "./values.js";

const DAYS_7 = 7 * 24 * 3_600_000;
const MAX_ITEMS = 1000;
const MAX_BYTES = 8 * 1024 * 1024;
const DEFAULT_STOP_MS = 5000;

type Item = Omit<SubmitOptions<unknown>, "tenantId">;
/** What travels with every submit of a handle. */
type Settings = Pick<JobItem, "maxAttempts" | "backoff" | "leaseMs" | "keyTtlMs">;

/** The `job` factory over a flavour's backend. */
export function createJobFactory(flavour: Flavour) {
  /** See the last signature. Here what the handler returns must fit `resultSchema`. */
  function job<S extends Schema, RS extends Schema>(
    options: JobOptions<S, InputOf<RS>> & { resultSchema: RS },
  ): Job<S, InputOf<RS>>;
  /**
   * Durable background work with retries, checkpoints, results and events, run by whichever tab is there.
   *
   * @throws `ValidationError` for a bad id; `RangeError` for settings out of range. Memory-only against durable rejects
   * the first call with `CONFLICT`.
   * @example
   * const exports = job({
   *   id: "exports",
   *   schema: z.object({ album: z.string() }),
   *   defaults: { maxAttempts: 3 },
   *   async process({ ctx, input }) {
   *     const photos = await ctx.step({ id: "list", run: () => listPhotos(input.album) });
   *     return { url: await upload(photos, ctx.signal) };
   *   },
   * });
   * const id = await exports.submit({ input: { album: "7" } });
   * const { status, result } = await exports.join({ id });
   */
  function job<S extends Schema, R>(options: JobOptions<S, R>): Job<S, R>;
  function job(options: JobOptions<Schema, unknown> & { resultSchema?: Schema }): Job<Schema, unknown> {
    if (options.worker !== false && typeof options.process !== "function") {
      throw new ValidationError("process must be a function that handles a job");
    }
    const handle = new Handle("job", flavour, options, configOf(options), "relaxed");
    const settings = addSettings({}, options.defaults ?? {});
    const { schema } = options;
    const loops = new Loops(handle, options);
    const joins = new Joins(handle);

    const close = async (): Promise<void> => {
      if (handle.closed) return;
      const stopped = loops.stop(DEFAULT_STOP_MS);
      handle.close();
      joins.close();
      await stopped;
    };
    const made: Job<Schema, unknown> = {
      submit: (item) =>
        promised(() => {
          const port = handle.port(item.tenantId);
          return handle.inOrder(prepare(schema, settings, item), (prepared) => {
            const reply = port.call("job.submit", prepared);
            loops.start(item.tenantId);
            return andThen(reply, (earlier) => earlier ?? prepared.jobId);
          });
        }),
      submitMany: (items, cfg) =>
        promised(() => {
          const port = handle.port(cfg?.tenantId);
          if (items.length > MAX_ITEMS) {
            throw new RangeError(`submitMany takes at most ${MAX_ITEMS} jobs, not ${items.length}`);
          }
          const preparing = Promise.all(items.map(async (item) => prepare(schema, settings, item)));
          return handle.inOrder(preparing, (prepared) => {
            assertBytes(prepared);
            const reply = port.call("job.submitMany", { items: prepared });
            loops.start(cfg?.tenantId);
            return andThen(reply, (earlier) => prepared.map(({ jobId }, i) => submitted(jobId, earlier?.[i] ?? null)));
          });
        }),
      start: (cfg) =>
        promised(() => {
          handle.port(cfg?.tenantId);
          return loops.of(cfg?.tenantId).start();
        }),
      validateInput: (input) => andThen(encodeValue(schema, input), () => {}),
      join: ({ id, timeoutMs, signal, tenantId }) =>
        promised(() => {
          const waitMs = timeoutMs === undefined ? FOREVER_MS : delay("timeoutMs", timeoutMs);
          const port = handle.port(tenantId);
          const options = signal === undefined ? undefined : { signal };
          const joined = handle.inOrder(undefined, () => port.call("job.join", { jobId: id, waitMs }, options));
          return isPromise(joined) ? joins.wait(joined, id, signal, timeoutMs) : outcomeOf(id, joined);
        }),
      cancel: ({ id, reason, tenantId }) =>
        handle.ask(tenantId, (port) =>
          port.call("job.cancel", { jobId: id, ...(reason === undefined ? {} : { reason }) }),
        ),
      get: async (id, cfg) => {
        const record = await handle.ask(cfg?.tenantId, (port) => port.call("job.get", { jobId: id }));
        return record && infoOf(record);
      },
      list: async ({ status, limit = 100, after, tenantId } = {}) => {
        const body = {
          limit: integer("limit", limit, { min: 1, max: MAX_ITEMS }),
          ...(status === undefined ? {} : { status }),
          ...(after === undefined ? {} : { after }),
        };
        const { entries, ...page } = await handle.ask(tenantId, (port) => port.call("job.list", body));
        return { entries: entries.map(infoOf), ...page };
      },
      retryFailed: ({ ids, tenantId } = {}) =>
        handle.ask(tenantId, (port) => port.call("job.retryFailed", ids ? { jobIds: ids } : {})),
      pause: async (cfg) => void (await handle.ask(cfg?.tenantId, (port) => port.call("job.pause", {}))),
      resume: async (cfg) => void (await handle.ask(cfg?.tenantId, (port) => port.call("job.resume", {}))),
      events: (id, cfg) => jobEvents(handle, id, cfg?.tenantId),
      stats: (cfg) => handle.ask(cfg?.tenantId, (port) => port.call("job.stats", {})),
      stop: ({ timeoutMs = DEFAULT_STOP_MS } = {}) => promised(() => loops.stop(delay("timeoutMs", timeoutMs))),
      close,
      [Symbol.asyncDispose]: close,
    };
    return linkJob(made, {
      handle,
      template: (input) =>
        andThen(encodeValue(schema, input), (text) => ({ input: text, bytes: utf8Bytes(text), ...settings })),
      start: () => loops.start(undefined),
    });
  }
  return job;
}

/** The workers of a handle, one for each tenant that it submitted to. */
class Loops {
  readonly #handle: Handle<"job">;
  readonly #options: JobOptions<Schema, unknown> & { resultSchema?: Schema };
  readonly #concurrency: number;
  readonly #byTenant = new Map<string | undefined, HandlerLoop>();

  constructor(handle: Handle<"job">, options: JobOptions<Schema, unknown> & { resultSchema?: Schema }) {
    this.#handle = handle;
    this.#options = options;
    this.#concurrency = integer("concurrency", options.concurrency ?? 1, { min: 1 });
  }

  of(tenantId: string = this.#options.tenantId ?? "default"): HandlerLoop {
    let loop = this.#byTenant.get(tenantId);
    if (loop === undefined) {
      const { schema, resultSchema, process, worker = true } = this.#options;
      const concurrency = this.#concurrency;
      loop = new HandlerLoop(this.#handle.port(tenantId), { schema, resultSchema, process, concurrency, worker });
      this.#byTenant.set(tenantId, loop);
    }
    return loop;
  }

  /** What stands in the way rejects the call that it is started for, too. */
  start(tenantId: string | undefined): void {
    if (!this.#handle.closed)
      this.of(tenantId)
        .start()
        .catch(() => {});
  }

  async stop(timeoutMs: number): Promise<{ abandoned: number }> {
    const stopped = await Promise.all(Array.from(this.#byTenant.values(), (loop) => loop.stop(timeoutMs)));
    return { abandoned: stopped.reduce((sum, { abandoned }) => sum + abandoned, 0) };
  }
}

function configOf(options: JobOptions<Schema, unknown>): JobConfig {
  const { globalConcurrency, maxCrashes, timeoutMs, retentionMs, retentionCount } = options;
  return {
    globalConcurrency:
      globalConcurrency === undefined ? 0 : integer("globalConcurrency", globalConcurrency, { min: 1 }),
    maxCrashes: integer("maxCrashes", maxCrashes ?? 5, { min: 0 }),
    timeoutMs: timeoutMs === undefined ? 0 : duration("timeoutMs", timeoutMs),
    retentionMs: duration("retentionMs", retentionMs ?? DAYS_7),
    retentionCount: integer("retentionCount", retentionCount ?? 10_000, { min: 0 }),
  };
}

function addSettings<To extends Settings>(settings: To, { maxAttempts, backoff, leaseMs, keyTtlMs }: Settings): To {
  if (maxAttempts !== undefined) settings.maxAttempts = integer("maxAttempts", maxAttempts, { min: 1 });
  if (backoff !== undefined) settings.backoff = backoffOf(backoff);
  if (leaseMs !== undefined) settings.leaseMs = duration("leaseMs", leaseMs);
  if (keyTtlMs !== undefined) settings.keyTtlMs = duration("keyTtlMs", keyTtlMs);
  return settings;
}

function backoffOf({ kind, baseMs, maxMs, jitter }: JobBackoff): JobBackoff {
  const backoff: JobBackoff = {
    kind: oneOf("backoff.kind", kind, ["fixed", "exp"]),
    baseMs: delay("backoff.baseMs", baseMs),
  };
  if (maxMs !== undefined) backoff.maxMs = delay("backoff.maxMs", maxMs);
  if (jitter !== undefined) {
    if (!(jitter >= 0 && jitter <= 1)) throw new RangeError(`backoff.jitter must be from 0 to 1, not ${jitter}`);
    backoff.jitter = jitter;
  }
  return backoff;
}

function prepare(schema: Schema, settings: Settings, options: Item): Maybe<JobItem> {
  const key = optionalText("key", options.key);
  return andThen(encodeValue(schema, options.input), (input) => {
    const item = addSettings<JobItem>({ jobId: newId(), input, bytes: utf8Bytes(input), ...settings }, options);
    const meta = encodeMeta(options.meta);
    const orderingKey = optionalText("orderingKey", options.orderingKey);
    if (key !== undefined) item.key = key;
    if (meta !== undefined) {
      item.meta = meta;
      item.bytes += utf8Bytes(meta);
    }
    if (orderingKey !== undefined) {
      item.orderingKey = orderingKey;
      item.bytes += utf8Bytes(orderingKey);
    }
    if (options.delayMs !== undefined) item.delayMs = delay("delayMs", options.delayMs);
    if (options.at !== undefined) item.at = delay("at", options.at);
    if (options.priority !== undefined) item.priority = integer("priority", options.priority, { min: 0, max: 9 });
    return item;
  });
}

function assertBytes(items: readonly JobItem[]): void {
  const bytes = items.reduce((sum, item) => sum + item.bytes, 0);
  if (bytes > MAX_BYTES) throw new RangeError(`submitMany takes at most ${MAX_BYTES} bytes, not ${bytes}`);
}

function submitted(jobId: string, earlier: string | null): Submitted {
  return earlier === null ? { id: jobId, duplicate: false } : { id: earlier, duplicate: true };
}

/** Joins that wait; they also end with their handle. */
class Joins {
  readonly #handle: Handle<"job">;
  readonly #waiting = new Set<(error: Error) => void>();

  constructor(handle: Handle<"job">) {
    this.#handle = handle;
  }

  wait(
    joined: Promise<JobOutcome | null>,
    id: string,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
  ): Promise<JobOutcomeOf<unknown>> {
    return new Promise((resolve, reject) => {
      this.#waiting.add(reject);
      joined.then(
        (outcome) => {
          this.#waiting.delete(reject);
          const { state } = this.#handle.bind().status;
          if (outcome === null && (timeoutMs === undefined || state === "closed")) reject(closedError("backend"));
          else resolve(outcomeOf(id, outcome));
        },
        (error: unknown) => {
          this.#waiting.delete(reject);
          // The backend was closed: nobody aborted anything.
          const closed = error instanceof AbortError && !signal?.aborted;
          reject((closed ? error.cause : error) as Error);
        },
      );
    });
  }

  close(): void {
    for (const reject of this.#waiting) reject(closedError("job"));
  }
}

function outcomeOf(id: string, outcome: JobOutcome | null): JobOutcomeOf<unknown> {
  if (outcome === null) {
    const error = { message: "the job was not done in time", code: "JOIN_TIMEOUT" };
    return { id, status: "timed_out", error, finishedAt: Date.now() };
  }
  const { result, ...rest } = outcome;
  return { id, ...rest, ...(result === undefined ? {} : { result: fromText(result) }) };
}

function infoOf({ jobId, input, meta, progress, result, ...rest }: JobRecord): JobInfo<unknown> {
  return {
    id: jobId,
    input: fromText(input),
    ...rest,
    ...(meta === undefined ? {} : { meta: decodeMeta(meta) }),
    ...(progress === undefined ? {} : { progress: fromText(progress) }),
    ...(result === undefined ? {} : { result: fromText(result) }),
  };
}
