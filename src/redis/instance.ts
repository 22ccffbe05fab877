import type { CallOptions, FeedListener, InstanceSpec, Port, Reassertion } from "../client/backend.js";
import { setLongTimeout } from "../client/signals.js";
import { type Body, type CommandName, type Kind, type Reply, fixedSettings } from "../protocol/commands.js";
import { AbortError, TabloomError, closedError, conflictError } from "../protocol/errors.js";
import { newId, randomText } from "../protocol/ids.js";
import { type Call, type Calls, deadlineFor, end } from "./calls.js";
import type { Client } from "./client.js";
import { parseEvent } from "./event-text.js";
import { kindOf } from "./kinds.js";
import { instanceRoot, redisNames } from "./keys.js";
import type { Argument, Raw, RedisKind, Script } from "./script.js";

/** What an instance asks of its backend. */
export interface InstanceHost {
  readonly client: Client;
  readonly calls: Calls;
  readonly prefix: string;
  readonly owner: string;
  readonly closed: boolean;
  nextSeq(): number;
  /** Runs a script that belongs to no command; rejects as calls do. */
  run(instance: Instance, lua: string, args: readonly Argument[]): Promise<Raw>;
  /** How far the clock of a test is moved. */
  clockOffset(): Promise<number>;
  created(instance: Instance): Promise<void>;
  /** A command has its answer, for those who follow the trace. */
  traced(instance: Instance, op: CommandName, body: unknown, error: unknown): void;
}

/**
 * One instance as this process uses it.
 *
 *   unopened ── first call of each port ──▶ open ── the server has lost its data ──▶ unopened, told what is held ──▶ open
 *
 * While it is not open, calls wait. Calls that may wait and got nothing are parked here: they are asked again, in order of
 * arrival, when the instance says that something came, when something is due, and after a lost connection.
 */
export class Instance<K extends Kind = Kind> {
  readonly root: string;
  readonly kind: RedisKind<K>;
  readonly #host: InstanceHost;
  readonly #keys = new Map<readonly string[], readonly string[]>();
  readonly #parked = new Set<Call>();
  readonly #listeners = new Set<FeedListener>();
  readonly #reassertions = new Set<(hub: { remembers: boolean }) => Reassertion | undefined>();
  /** What this process must hand back. */
  readonly #taken = new Set<string>();
  /** Calls without an answer that are not parked, and who waits for there to be none. */
  readonly #underWay = new Set<Call>();
  readonly #idle: (() => void)[] = [];
  /** The settings that it was opened with last. */
  #spec: InstanceSpec<K>;
  /** As far as is known, the server has it. */
  #open = false;
  #opening: Promise<void> | undefined;
  #held: Call[] = [];
  #inFlight = 0;
  #watching: Promise<void> | undefined;
  #watched = false;
  #hearing: Promise<void> | undefined;
  /** When it is looked at again, of this process's monotonic clock. */
  #dueAt = Infinity;
  #stopDue: (() => void) | undefined;
  #waitTimer: ReturnType<typeof setTimeout> | undefined;
  #waitTimerAt = Infinity;
  #sweeping: Promise<void> | undefined;
  /** Holds something whose owner's life is watched. */
  holding = false;

  constructor(spec: InstanceSpec<K>, host: InstanceHost) {
    this.#spec = spec;
    this.root = instanceRoot(host.prefix, spec.name);
    this.kind = kindOf(spec.name.kind);
    this.#host = host;
  }

  get parked(): number {
    return this.#parked.size;
  }

  get spec(): InstanceSpec<K> {
    return this.#spec;
  }

  keys(parts: readonly string[]): readonly string[] {
    let keys = this.#keys.get(parts);
    if (keys === undefined) this.#keys.set(parts, (keys = parts.map((part) => redisNames.key(this.root, part))));
    return keys;
  }

  /** For handles with these settings: the first call of each port opens the instance with them. */
  port(spec: InstanceSpec<K>): Port {
    const gate = new Gate(() => this.#openWith(spec));
    return {
      call: (op, body, options) => this.#call(gate, op, body, options) as never,
      listen: (listener) => this.#listen(listener),
      reassert: (tell) => {
        this.#reassertions.add(tell);
        return () => this.#reassertions.delete(tell);
      },
    };
  }

  #call<Op extends CommandName>(
    gate: Gate,
    op: Op,
    body: Body<Op>,
    options: CallOptions | undefined,
  ): Promise<Reply<Op>> {
    return new Promise((resolve, reject) => {
      const call = this.#newCall(op, body, options, resolve as (value: unknown) => void, reject);
      if (gate.open) this.#host.calls.add(call);
      else void this.#enter(gate, call);
    });
  }

  #newCall(
    op: CommandName,
    body: Body<CommandName>,
    options: CallOptions | undefined,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ): Call {
    const host = this.#host;
    if (host.closed) throw closedError("backend");
    const signal = options?.signal;
    if (signal?.aborted) throw new AbortError(signal.reason);
    const { name } = this.#spec;
    const script = (this.kind.scripts as Record<string, Script | undefined>)[op];
    if (script === undefined) throw new TabloomError("VALIDATION", `${op} is not a command of a ${name.kind}`);
    const waitMs = script.none ? ((body as { waitMs?: number }).waitMs ?? 0) : 0;
    const waitUntil = waitMs > 0 ? performance.now() + waitMs : 0;
    const call: Call = {
      seq: host.nextSeq(),
      id: newId(),
      instance: this as unknown as Instance,
      op,
      body,
      script,
      options,
      waitUntil,
      deadlineAt: deadlineFor(waitUntil),
      resolve,
      reject,
      abandoned: false,
      sent: false,
      last: false,
      stopListening: undefined,
    };
    if (signal) this.#listenTo(signal, call);
    this.#underWay.add(call);
    return call;
  }

  /** Calls before the instance is open, in their order. Those that wait outlast a server that is away. */
  async #enter(gate: Gate, call: Call): Promise<void> {
    for (;;) {
      try {
        await gate.pass();
        break;
      } catch (error) {
        const retryable = error instanceof TabloomError && error.retryable;
        if (this.#host.closed || !retryable || call.waitUntil <= performance.now()) return this.refuse(call, error as Error);
      }
    }
    if (!call.abandoned) this.#host.calls.add(call);
  }

  /** The call ends with an error. */
  refuse(call: Call, error: Error): void {
    this.#done(call);
    if (!call.abandoned) this.#host.traced(this as unknown as Instance, call.op, call.body, error);
    end(call, error);
  }

  // --- Calls on their way -------------------------------------------------------------------------------------------

  /** Whether the call must stay here: the data is gone, or calls before it are to be sent again first. */
  holdsBack(call: Call): boolean {
    // Who waits must hear of what comes: the subscription is there before the call asks.
    const deaf = call.waitUntil > 0 && !call.last && !this.#watched;
    if (this.#open && !deaf) return false;
    this.#held.push(call);
    if (!this.#open) this.#reopenSoon();
    else this.#watch().then(this.#release, () => {});
    return true;
  }

  sent(calls: readonly Call[]): void {
    this.#inFlight += calls.length;
  }

  answered(calls: readonly Call[]): void {
    this.#inFlight -= calls.length;
    if (this.#held.length > 0 && !this.#open) this.#reopenSoon();
  }

  /** Resolves when every call of this process is answered, or parked. */
  settled(): Promise<void> {
    if (this.#underWay.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #done(call: Call): void {
    this.#underWay.delete(call);
    if (this.#underWay.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** The server does not have it any more. */
  reopen(call: Call): void {
    this.#open = false;
    this.#held.push(call);
    this.#reopenSoon();
  }

  settle(call: Call, raw: Raw): void {
    const { script, body, op } = call;
    let reply: unknown;
    if (script.none) {
      const [served, given] = raw as [number, Raw];
      if (served === 0 && call.waitUntil > 0 && !call.last) return this.#park(call);
      reply = served === 0 ? script.none(body) : script.reply(given as never, body);
    } else reply = script.reply(raw as never, body);
    if (script.holds && !this.holding) this.holding = true;
    this.#done(call);
    call.stopListening?.();
    this.#track(op, body, reply);
    this.#host.traced(this as unknown as Instance, op, body, undefined);
    if (call.abandoned) call.options?.onLate?.(reply as never);
    else call.resolve(reply);
  }

  #track(op: CommandName, body: unknown, reply: unknown): void {
    const { tracks } = this.kind;
    if (tracks === undefined) return;
    for (const id of tracks.taken(op, reply)) this.#taken.add(id);
    for (const id of tracks.settled(op, body)) this.#taken.delete(id);
  }

  #listenTo(signal: AbortSignal, call: Call): void {
    const abandon = (): void => {
      if (call.abandoned) return;
      call.abandoned = true;
      call.reject(new AbortError(signal.reason));
      if (!call.sent) this.#done(call);
      if (this.#parked.delete(call)) this.#unwait([call]);
      else if (!call.sent) this.#host.calls.drop(call);
    };
    signal.addEventListener("abort", abandon, { once: true });
    call.stopListening = () => signal.removeEventListener("abort", abandon);
  }

  // --- Opening ------------------------------------------------------------------------------------------------------

  async #openWith(spec: InstanceSpec<K>): Promise<void> {
    const { name, config, durability } = spec;
    const fixed = fixedSettings[name.kind].map((field) => [field, (config as unknown as Record<string, unknown>)[field]]);
    const offset = await this.#host.clockOffset();
    const settings = { durability, ...this.kind.settings(config) };
    const [made, given] = (await this.#host.run(this as unknown as Instance, "instance-open", [
      JSON.stringify(name),
      JSON.stringify(config),
      JSON.stringify(fixed),
      randomText(8),
      offset,
      ...Object.entries(settings).flat(),
    ])) as [number, number | string];
    if (made < 0) throw this.#conflict(String(given), fixed);
    this.#spec = spec;
    this.#open = true;
    if (made === 1) await this.#host.created(this as unknown as Instance);
    if (this.kind.sweep) void this.#watch().catch(() => {});
    this.noteDue(Number(given));
  }

  /** Once every call that is under way has found that the data is gone, so that all are sent again in their order. */
  #reopenSoon(): void {
    if (this.#inFlight === 0) this.#opening ??= this.#reopen().finally(() => (this.#opening = undefined));
  }

  async #reopen(): Promise<void> {
    try {
      await this.#openWith(this.#spec);
      this.reassert({ remembers: false });
      this.#release();
    } catch (error) {
      const waits = (call: Call): boolean => call.waitUntil > performance.now() && (error as TabloomError).retryable;
      const held = this.#held.splice(0);
      for (const call of held) if (!waits(call)) this.refuse(call, error as Error);
      this.#held.push(...held.filter(waits));
      if (this.#held.length > 0 && !this.#host.closed) setTimeout(() => this.#reopenSoon(), 0);
    }
  }

  #conflict(storedText: string, asked: readonly unknown[][]): Error {
    const stored = new Map(JSON.parse(storedText) as [string, unknown][]);
    const [field, value] = asked.find(([name, wanted]) => stored.get(name as string) !== wanted)!;
    return conflictError(this.#spec.name, field as string, stored.get(field as string), value);
  }

  readonly #release = (): void => {
    if (this.#open) this.#host.calls.resume(this.#held.splice(0));
  };

  /** Tells what this process still holds. */
  reassert(hub: { remembers: boolean }): void {
    for (const tell of this.#reassertions) {
      const told = tell(hub);
      if (told === undefined) continue;
      const { op, body, answered, refused } = told;
      new Promise((resolve, reject) => this.#host.calls.add(this.#newCall(op, body, undefined, resolve, reject))).then(
        (reply) => answered?.(reply as never),
        (error: unknown) => refused?.(error),
      );
    }
  }

  // --- Waiting ------------------------------------------------------------------------------------------------------

  #watch(): Promise<void> {
    return (this.#watching ??= this.#host.client
      .subscribe(redisNames.wakeChannel(this.root), (text) => this.#woken(text))
      .then(() => {
        this.#watched = true;
      }));
  }

  #park(call: Call): void {
    this.#done(call);
    if (call.abandoned) return this.#unwait([call]);
    this.#parked.add(call);
    this.#wakeAt(call.waitUntil);
  }

  /** Asks again for all that wait, in order of arrival. */
  retryParked(): void {
    if (this.#parked.size === 0) return;
    const calls = [...this.#parked];
    this.#parked.clear();
    this.#ask(calls);
  }

  #ask(parked: readonly Call[]): void {
    for (const call of parked) this.#underWay.add(call);
    this.#host.calls.resume(parked);
  }

  #unwait(calls: readonly Call[]): void {
    this.#host.run(this as unknown as Instance, "instance-unwait", calls.map(({ id }) => id)).catch(() => {});
  }

  /** Calls whose time is up are asked once more, so that what came at that moment is not missed. */
  #wakeAt(at: number): void {
    if (at >= this.#waitTimerAt) return;
    clearTimeout(this.#waitTimer);
    this.#waitTimerAt = at;
    this.#waitTimer = setTimeout(() => this.#endWaits(), Math.min(Math.max(0, at - performance.now()), 2 ** 31 - 1));
  }

  #endWaits(): void {
    this.#waitTimerAt = Infinity;
    const now = performance.now();
    const over = [...this.#parked].filter((call) => call.waitUntil <= now);
    for (const call of over) {
      call.last = true;
      this.#parked.delete(call);
    }
    this.#ask(over);
    for (const call of this.#parked) this.#wakeAt(call.waitUntil);
  }

  /** A test's clock has moved: waits end so much earlier. */
  clockMoved(ms: number): void {
    for (const call of [...this.#parked, ...this.#underWay]) if (call.waitUntil > 0) call.waitUntil -= ms;
    this.#endWaits();
  }

  /** A message on the wake channel: "wake", or "due <ms>". */
  #woken(text: string): void {
    if (text === "wake") this.retryParked();
    else if (text.startsWith("due ")) this.noteDue(Number(text.slice(4)));
  }

  noteDue(ms: number): void {
    if (ms < 0 || this.kind.sweep === undefined || this.#host.closed) return;
    // What is due at the end of this millisecond is not yet due at its beginning.
    const at = performance.now() + ms + 1;
    if (at >= this.#dueAt) return;
    this.#stopDue?.();
    this.#dueAt = at;
    this.#stopDue = setLongTimeout(() => void this.sweep(), Math.max(0, at - performance.now()), {
      keepAlive: this.#parked.size > 0,
    });
  }

  /** Does what time has brought; what waits is told by the script. */
  sweep(): Promise<void> {
    this.#stopDue?.();
    this.#dueAt = Infinity;
    return (this.#sweeping ??= this.#sweep().finally(() => (this.#sweeping = undefined)));
  }

  async #sweep(): Promise<void> {
    if (!this.#open || this.kind.sweep === undefined || this.#host.closed) return;
    for (;;) {
      let reply: [number, number];
      try {
        reply = (await this.#host.run(this as unknown as Instance, this.kind.sweep, [this.#host.owner])) as [number, number];
      } catch {
        // Without a server nothing comes due; when it is back, everybody looks.
        return;
      }
      const [more, dueIn] = reply;
      if (more === 0) {
        this.noteDue(dueIn);
        return;
      }
    }
  }

  // --- Events -------------------------------------------------------------------------------------------------------

  #listen(listener: FeedListener): () => void {
    this.#listeners.add(listener);
    const channel = redisNames.eventChannel(this.root);
    // What was published before the subscription stood is in the log.
    this.#hearing ??= this.#host.client.subscribe(channel, (text) => this.#hear(text));
    this.#hearing.then(
      () => this.#listeners.has(listener) && listener.resync(),
      () => {},
    );
    return () => {
      if (!this.#listeners.delete(listener) || this.#listeners.size > 0) return;
      this.#hearing = undefined;
      this.#host.client.unsubscribe(channel);
    };
  }

  #hear(text: string): void {
    const [n, event] = parseEvent(text);
    for (const listener of this.#listeners) listener.event(event, n);
  }

  /** The subscription stands again: what was said meanwhile is missed. */
  resync(): void {
    for (const listener of this.#listeners) listener.resync();
    this.retryParked();
    void this.sweep();
  }

  /** The server answers again. What this process held may be over by now. */
  reconnected(): void {
    if (this.#open) this.reassert({ remembers: true });
    if (this.#open) void this.renew();
    this.#release();
  }

  /** Says that this process lives, as long as it holds something. */
  async renew(): Promise<void> {
    if (!this.holding) return;
    const held = await this.#host.run(this as unknown as Instance, "instance-renew", [this.#host.owner]).catch(() => 1);
    this.holding = held === 1;
  }

  // --- The end ------------------------------------------------------------------------------------------------------

  async handBack(): Promise<void> {
    const { tracks, goodbye } = this.kind;
    const taken = [...this.#taken];
    if (tracks && taken.length > 0) await tracks.handBack(this.port(this.#spec), taken);
    if (goodbye && this.#open) await this.#host.run(this as unknown as Instance, goodbye, [this.#host.owner]);
  }

  /** Ends the calls that wait, on both sides. */
  stopWaiting(error: Error): void {
    const waiting = [...this.#parked];
    this.#parked.clear();
    if (waiting.length > 0) this.#unwait(waiting);
    for (const call of waiting) end(call, error);
  }

  close(error: Error): void {
    this.#stopDue?.();
    clearTimeout(this.#waitTimer);
    for (const call of [...this.#parked, ...this.#held.splice(0)]) end(call, error);
    this.#parked.clear();
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}

/** What calls of one port wait for: that the instance is open with the port's settings. */
class Gate {
  open = false;
  readonly #openNow: () => Promise<void>;
  #opening: Promise<void> | undefined;

  constructor(openNow: () => Promise<void>) {
    this.#openNow = openNow;
  }

  pass(): Promise<void> {
    return (this.#opening ??= this.#openNow().then(
      () => {
        this.open = true;
      },
      (error: unknown) => {
        this.#opening = undefined;
        throw error;
      },
    ));
  }
}
