import { setLongTimeout } from "../client/signals.js";
import type { Count, Told } from "../cron/slot-rules.js";
import type { LeaderLoss, SchedulerCounts } from "../protocol/commands.js";
import { instanceKey } from "../protocol/names.js";
import { NO_COUNTS } from "../protocol/scheduler.js";
import { dispatch } from "./scheduler-dispatch.js";
import { metricText } from "./scheduler-rows.js";
import { type Standing, steps } from "./scheduler-steps.js";
import type { Resident, Tools } from "./script.js";

/** After a failure. */
const RETRY_MS = 500;
/** Time for another process to lead, after this one has made way. */
const PAUSE_MS = 500;

/** Another process leads: what this one was about to do is not its any more. */
export class Deposed extends Error {}

/** While this process leads. */
interface Term {
  readonly epoch: number;
  /** Until when nobody else leads, of this process's monotonic clock. */
  readonly until: number;
}

/**
 * What a process does for a scheduler once one of its handles has started.
 *
 *   idle ── start ──▶ contends ── no leader ──▶ leads ── lease over, made way ──▶ contends
 *                        └── once in a lease       └── each heartbeat
 *
 * Whoever leads runs what is due, when it is due. Invariants, and what each death leaves: docs/decisions/0014.
 */
export class SchedulerResident implements Resident {
  readonly tools: Tools;
  readonly counters: SchedulerCounts = { ...NO_COUNTS };
  /** Until when nothing more is submitted, of the instance's clock: a tick submitted all that it may. */
  restsUntil = 0;
  readonly #started = new Set<string>();
  #term: Term | undefined;
  /** Made way: others may lead first, until then of this process's monotonic clock. */
  #pausesUntil = 0;
  #contending: Promise<void> = Promise.resolve();
  #looking: Promise<void> | undefined;
  #again = false;
  #stopHeartbeat: (() => void) | undefined;
  #stopDue: (() => void) | undefined;
  #dueAt = Infinity;
  /** The instance's clock as against this process's, as far as is known. */
  #skewMs = 0;
  #ended = false;

  constructor(tools: Tools) {
    this.tools = tools;
  }

  // --- What handles ask ---------------------------------------------------------------------------------------------

  async start(handleId: string): Promise<void> {
    const known = this.#started.has(handleId);
    this.#started.add(handleId);
    try {
      await this.#contend();
    } catch (error) {
      // One that was told again goes on, as its handle does.
      if (!known) this.#started.delete(handleId);
      throw error;
    }
    void this.look();
  }

  async stop(handleId: string): Promise<void> {
    if (!this.#started.delete(handleId)) return;
    await this.#resign([handleId], "stop");
  }

  leads(handleId: string): boolean {
    return this.#started.has(handleId) && this.epoch !== undefined;
  }

  /** The instance's time, about. */
  now(): number {
    return Date.now() + this.#skewMs;
  }

  noteTime(now: number): void {
    this.#skewMs = now - Date.now();
  }

  /** Of its time as the leader; undefined: it does not lead, as far as it knows. */
  get epoch(): number | undefined {
    const { epoch, until } = this.#term ?? { until: 0 };
    return performance.now() < until && this.#started.size > 0 ? epoch : undefined;
  }

  /** Travels with what it submits, so that it is refused when another has led since. */
  get fence(): { by: string; epoch: number } {
    return { by: instanceKey(this.tools.name), epoch: this.mustLead() };
  }

  /** Its epoch. @throws `Deposed` */
  mustLead(): number {
    const { epoch } = this;
    if (epoch === undefined) throw new Deposed();
    return epoch;
  }

  text(told: Partial<Told>): string {
    return metricText(this.tools.name, told);
  }

  /** Counts it, and tells those who listen. */
  async report(told: Told, count: Count, run?: { scheduleId: string; serial: number; runId: string }): Promise<void> {
    this.counters[count]++;
    await this.tools.ask(steps.report, { metric: this.text(told), ...(run === undefined ? {} : { run }) });
  }

  // --- Who leads ----------------------------------------------------------------------------------------------------

  /** One after the other: each tells which handles have started by then. */
  #contend(): Promise<void> {
    return (this.#contending = this.#contending.then(
      () => this.#contendNow(),
      () => this.#contendNow(),
    ));
  }

  async #contendNow(): Promise<void> {
    if (this.#ended || this.#started.size === 0) return;
    const sentAt = performance.now();
    const mayLead = sentAt >= this.#pausesUntil;
    try {
      const asked = { mayLead, metric: this.text({}), handles: this.#started };
      const standing = await this.tools.ask(steps.contend, asked);
      this.noteTime(standing.now);
      this.#stand(standing, sentAt);
    } catch (error) {
      this.#beat(RETRY_MS);
      throw error;
    }
  }

  #stand({ leads, epoch, leftMs, leaseMs, heartbeatMs, dueIn }: Standing, sentAt: number): void {
    const before = this.#term?.epoch;
    if (before !== undefined && (!leads || before !== epoch)) this.#lost(before);
    if (leads && before !== epoch) this.counters.leaderChanges++;
    // From when it was asked: the server's count begins later.
    this.#term = leads ? { epoch, until: sentAt + leaseMs } : undefined;
    if (leads) this.due(dueIn);
    const pauseMs = this.#pausesUntil - performance.now();
    if (leads) this.#beat(heartbeatMs);
    else this.#beat(pauseMs > 0 ? Math.max(pauseMs, Math.min(leftMs, heartbeatMs)) : leftMs + 1);
  }

  #lost(epoch: number, reason: LeaderLoss = "expired"): void {
    this.#term = undefined;
    this.counters.leaderChanges++;
    const metric = this.text({ type: "leader_lost", leaderEpoch: epoch, reason });
    // Who listens may miss it: the next leader tells of itself.
    if (reason === "expired") this.tools.ask(steps.report, { metric }).catch(() => {});
  }

  /** On a timer of its own: what is under way takes no heartbeat away. */
  #beat(ms: number): void {
    this.#stopHeartbeat?.();
    if (this.#ended || this.#started.size === 0) return;
    this.#stopHeartbeat = setLongTimeout(() => {
      const led = this.epoch;
      this.#contend().then(
        () => {
          if (this.epoch !== led) void this.look();
        },
        () => {},
      );
    }, ms);
  }

  async #resign(handles: readonly string[], reason: LeaderLoss): Promise<void> {
    const metric = this.text({ reason } as Partial<Told>);
    if (this.#started.size > 0) {
      await this.tools.ask(steps.resign, { how: "stay", metric, handles });
      return;
    }
    this.#stopHeartbeat?.();
    this.#cancelDue();
    // What is under way ends first: it looks whether it still leads.
    await Promise.allSettled([this.#contending, this.#looking]);
    const led = this.#term !== undefined;
    this.#term = undefined;
    if (led) this.counters.leaderChanges++;
    await this.tools.ask(steps.resign, { how: "leave", metric, handles });
  }

  /** A handler is missing: another process may have it. Alone it goes on. */
  async makeWay(): Promise<void> {
    const metric = this.text({ reason: "missing_handler" } as Partial<Told>);
    if (!(await this.tools.ask(steps.resign, { how: "yield", metric, handles: [] }))) return;
    if (this.#term) this.#lost(this.#term.epoch, "missing_handler");
    this.#pausesUntil = performance.now() + PAUSE_MS;
    this.#beat(PAUSE_MS);
  }

  // --- What is due --------------------------------------------------------------------------------------------------

  look(): Promise<void> {
    this.#again = true;
    return (this.#looking ??= this.#lookOn());
  }

  async #lookOn(): Promise<void> {
    // Later, so that whoever asks meanwhile finds this one.
    await Promise.resolve();
    try {
      while (this.#again && !this.#ended && this.#started.size > 0) {
        this.#again = false;
        if (this.epoch === undefined) await this.#contend();
        if (this.epoch !== undefined) await this.#tick();
      }
    } catch {
      // The server is away, or another process leads: the next heartbeat tells.
    } finally {
      this.#looking = undefined;
    }
  }

  async #tick(): Promise<void> {
    this.#cancelDue();
    try {
      this.due(await dispatch(this));
    } catch (error) {
      if (!(error instanceof Deposed)) {
        this.counters.tickErrors++;
        return this.due(RETRY_MS);
      }
      // Not by its own clock: the server says so.
      const { epoch } = this;
      if (epoch !== undefined) this.#lost(epoch);
      this.#beat(0);
    }
  }

  due(ms: number): void {
    const at = performance.now() + ms + 1;
    if (ms < 0 || at >= this.#dueAt || this.epoch === undefined || this.#ended) return;
    this.#stopDue?.();
    this.#dueAt = at;
    this.#stopDue = setLongTimeout(() => {
      this.#dueAt = Infinity;
      void this.look();
    }, ms + 1);
  }

  #cancelDue(): void {
    this.#stopDue?.();
    this.#dueAt = Infinity;
  }

  // --- The end ------------------------------------------------------------------------------------------------------

  async leave(): Promise<void> {
    const handles = [...this.#started];
    this.#started.clear();
    if (handles.length > 0) await this.#resign(handles, "tab_gone");
  }

  end(): void {
    this.#ended = true;
    this.#stopHeartbeat?.();
    this.#cancelDue();
  }
}
