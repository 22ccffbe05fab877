import type {
  Body,
  Reply,
  ScheduleItem,
  SchedulerCommands,
  SchedulerConfig,
  TriggerReply,
} from "../protocol/commands.js";
import { TabloomError, ValidationError, fromWire } from "../protocol/errors.js";
import { newId, randomText } from "../protocol/ids.js";
import type { Maybe, Port } from "./backend.js";
import type { Flavour } from "./flavour.js";
import { Handle } from "./handle.js";
import { linkOf } from "./job-link.js";
import { andThen, promised } from "./maybe.js";
import { delay, duration, identifier, integer, oneOf, optionalText } from "./ranges.js";
import type { SchedulableJob, ScheduleOptions, Scheduler, SchedulerOptions } from "./scheduler-types.js";
import { encodeMeta } from "./values.js";

const DAYS_90 = 90 * 24 * 3_600_000;

/** The `scheduler` factory over a flavour's backend. */
export function createSchedulerFactory(flavour: Flavour) {
  /**
   * Runs jobs by the clock: cron expressions in any time zone, each slot once however many tabs there are, durable.
   * Nothing runs while no tab is open; what was missed then is up to `misfire`.
   *
   * @throws `ValidationError` for a bad id; `RangeError` for options out of range.
   * @example
   * const nightly = scheduler({ id: "nightly" });
   * await nightly.register({ id: "cleanup", cron: "0 3 * * *", tz: "Europe/Berlin", job: cleanup, input: {} });
   * await nightly.start();
   */
  return function scheduler(options: SchedulerOptions): Scheduler {
    const handle = new Handle("scheduler", flavour, options, configOf(options), "relaxed");
    const member = new Member(handle, options.onMetric);
    const { ask } = member;
    let closing: Promise<void> | undefined;
    const close = (): Promise<void> => (closing ??= member.leave());

    return {
      start: () => member.start(),
      stop: () => member.stop(),
      register: (schedule) => promised(() => register(handle, member, schedule)),
      unregister: ({ id }) => ask("scheduler.unregister", { scheduleId: id }),
      triggerNow: async ({ id, key }) => {
        const runId = newId();
        const named = optionalText("key", key);
        const body = { scheduleId: id, runId, ...(named === undefined ? {} : { key: named }) };
        return runIdOf(await ask("scheduler.trigger", body), body);
      },
      get: ({ id }) => ask("scheduler.get", { scheduleId: id }),
      list: () => ask("scheduler.list", {}),
      preview: (asked) =>
        promised(() => {
          const count = integer("count", asked.count ?? 5, { min: 1, max: 1000 });
          if ("id" in asked) return ask("scheduler.preview", { scheduleId: asked.id, count });
          return ask("scheduler.preview", { cron: asked.cron, tz: asked.tz ?? "UTC", count });
        }),
      pause: ({ id }) => ask("scheduler.pause", { scheduleId: id }),
      resume: ({ id }) => ask("scheduler.resume", { scheduleId: id }),
      metrics: () => ask("scheduler.metrics", { handleId: member.id }),
      dlq: (asked) =>
        promised(() =>
          ask("scheduler.listDead", { limit: integer("limit", asked?.limit ?? 100, { min: 1, max: 10_000 }) }),
        ),
      stats: () => ask("scheduler.stats", {}),
      close,
      [Symbol.asyncDispose]: close,
    };
  };
}

/** This handle as the hub knows it: whether it has started, and whether it listens. */
class Member {
  readonly id = newId();
  readonly #handle: Handle<"scheduler">;
  readonly #onMetric: SchedulerOptions["onMetric"];
  #started = false;
  /** How to stop listening and telling; undefined before the first call. */
  #part: (() => void) | undefined;

  constructor(handle: Handle<"scheduler">, onMetric: SchedulerOptions["onMetric"]) {
    this.#handle = handle;
    this.#onMetric = onMetric;
  }

  /** From the first use on, this handle listens, and tells new hubs that it has started. */
  port(): Port {
    const port = this.#handle.port();
    this.#part ??= this.#join(port);
    return port;
  }

  readonly ask = <Op extends keyof SchedulerCommands>(op: Op, body: Body<Op>): Promise<Reply<Op>> =>
    promised(() => {
      const port = this.port();
      return this.#handle.inOrder(undefined, () => port.call(op, body));
    });

  async start(): Promise<void> {
    this.#started = true;
    try {
      await this.ask("scheduler.start", { handleId: this.id });
    } catch (error) {
      this.#started = false;
      throw error;
    }
  }

  async stop(): Promise<void> {
    if (!this.#started) return;
    this.#started = false;
    await this.ask("scheduler.stop", { handleId: this.id });
  }

  async leave(): Promise<void> {
    const stopped = this.stop();
    this.#handle.close();
    try {
      await stopped;
    } catch {
      // Without a hub there is nobody to tell; with this tab it forgets the handle.
    }
    this.#part?.();
  }

  #join(port: Port): () => void {
    const stopTelling = port.reassert(() =>
      this.#started ? { op: "scheduler.start", body: { handleId: this.id } } : undefined,
    );
    if (this.#onMetric === undefined) return stopTelling;
    const stopListening = port.listen({
      event: (event) => {
        if (event.type !== "scheduler.metric") return;
        try {
          this.#onMetric!(event.metric);
        } catch (error) {
          // Others listen, too.
          console.error(error);
        }
      },
      resync() {},
    });
    return () => {
      stopTelling();
      stopListening();
    };
  }
}

function register<Job extends SchedulableJob>(
  handle: Handle<"scheduler">,
  member: Member,
  options: ScheduleOptions<Job>,
): Maybe<Reply<"scheduler.register">> {
  const port = member.port();
  const { id, cron, tz = "UTC", misfire = "skip", maxCatchUpRuns = 100, overlap = "allow" } = options;
  identifier("id", id);
  assertTimeZone(tz);
  const link = linkOf(options.job);
  if (link.handle.bind() !== handle.bind()) throw new ValidationError("the job must live on the scheduler's backend");
  const prepared = andThen(link.template(options.input), (item): ScheduleItem => {
    const meta = encodeMeta(options.meta);
    return {
      scheduleId: id,
      cron,
      tz,
      misfire: oneOf("misfire", misfire, ["skip", "catch_up_one", "catch_up_all"]),
      maxCatchUpRuns: integer("maxCatchUpRuns", maxCatchUpRuns, { min: 1 }),
      overlap: oneOf("overlap", overlap, ["allow", "skip"]),
      job: { ...link.handle.spec(), seed: randomText(8) },
      item,
      ...(meta === undefined ? {} : { meta }),
    };
  });
  return handle.inOrder(prepared, (schedule) => {
    // Before the call: who schedules a job answers for its handler.
    link.start();
    return port.call("scheduler.register", schedule);
  });
}

/** The hub checks it too; here it comes before the input. */
function assertTimeZone(tz: string): void {
  try {
    new Intl.DateTimeFormat("en", { timeZone: tz });
  } catch (cause) {
    const message = `${JSON.stringify(tz)} is not a time zone`;
    throw new ValidationError(message, [{ message, path: ["tz"] }], { cause });
  }
}

function runIdOf(reply: TriggerReply, { scheduleId, runId }: { scheduleId: string; runId: string }): string {
  if (reply === null) return runId;
  if ("duplicateOf" in reply) return reply.duplicateOf;
  if ("failed" in reply) throw fromWire(reply.failed);
  const message = `scheduler trigger rejected: ${reply.rejected.replace("_", " ")} for ${JSON.stringify(scheduleId)}`;
  throw reply.rejected === "missing_schedule"
    ? new ValidationError(message)
    : new TabloomError("UNAVAILABLE", message, { retryable: true });
}

function configOf({
  leader = {},
  dispatch = {},
  strictHandlers = true,
  graceMs = 30_000,
}: SchedulerOptions): SchedulerConfig {
  const leaseMs = duration("leaseMs", leader.leaseMs ?? 5000);
  const third = Math.max(1, Math.floor(leaseMs / 3));
  return {
    strictHandlers,
    graceMs: delay("graceMs", graceMs),
    tickMs: duration("tickMs", dispatch.tickMs ?? 500),
    maxSubmitsPerTick: integer("maxSubmitsPerTick", dispatch.maxSubmitsPerTick ?? 500, { min: 1 }),
    submitRetries: integer("submitRetries", dispatch.submitRetries ?? 3, { min: 0 }),
    submitBackoffBaseMs: delay("submitBackoffBaseMs", dispatch.submitBackoffBaseMs ?? 100),
    submitBackoffMaxMs: delay("submitBackoffMaxMs", dispatch.submitBackoffMaxMs ?? 2000),
    scheduledJobKeyTtlMs: duration("scheduledJobKeyTtlMs", dispatch.scheduledJobKeyTtlMs ?? DAYS_90),
    dlqMaxEntries: integer("dlqMaxEntries", dispatch.dlqMaxEntries ?? 5000, { min: 1 }),
    maxConsecutiveDispatchFailures: integer(
      "maxConsecutiveDispatchFailures",
      dispatch.maxConsecutiveDispatchFailures ?? 5,
      { min: 1 },
    ),
    leaseMs,
    heartbeatMs: integer("heartbeatMs", leader.heartbeatMs ?? Math.min(500, third), { min: 1, max: third }),
    batchSize: integer("batchSize", dispatch.batchSize ?? 200, { min: 1 }),
  };
}
