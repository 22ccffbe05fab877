import type { CallOptions, FeedListener, InstanceSpec, Port, Reassertion } from "../client/backend.js";
import { setLongTimeout } from "../client/signals.js";
import { type Body, type CommandName, type Kind, type Reply, fixedSettings } from "../protocol/commands.js";
import { AbortError, TabloomError, closedError, conflictError } from "../protocol/errors.js";
import { newId, randomText } from "../protocol/ids.js";
import { type Call, type Calls, deadlineFor, end } from "./calls.js";
import type { Client } from "./client.js";
import { failureOf } from "./failures.js";
import { parseEvents } from "./event-text.js";
import { kindOf } from "./kinds.js";
import { instanceRoot, redisNames } from "./keys.js";
import { Lane } from "./lane.js";
import type { Argument, Raw, RedisKind, Resident, Routine, Script, Step } from "./script.js";
import { Waiting } from "./waiting.js";

/** Calls wait no longer than this for the subscription of those who listen. */
const HEAR_MS = 5000;

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
  /** For residents and routines: other instances. */
  port<J extends Kind>(spec: InstanceSpec<J>): Port;
  visit<J extends Kind>(spec: InstanceSpec<J>): Port;
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
  readonly #resident: Resident | undefined;
  readonly #lane = new Lane();
  readonly #keys = new Map<readonly string[], readonly string[]>();
  readonly #parked = new Waiting();
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
  /** Until the last of those that wait for their ports has passed: others stay behind it. */
  #entering: Promise<void> | undefined;
  #inFlight = 0;
  #watching: Promise<void> | undefined;
  #watched = false;
  #hearing: Promise<void> | undefined;
  /** Listeners hear what happens from now on. */
  #heard = true;
  /** When it is looked at again, of this process's monotonic clock. */
  #dueAt = Infinity;
  #stopDue: (() => void) | undefined;
  #waitTimer: ReturnType<typeof setTimeout> | undefined;
  #waitTimerAt = Infinity;
  #sweeping: Promise<void> | undefined;
  /** When it was told what the server forgets otherwise, of this process's monotonic clock. */
  #toldAt = 0;
  /** Holds something whose owner's life is watched. */
  holding = false;

  constructor(spec: InstanceSpec<K>, host: InstanceHost) {
    this.#spec = spec;
    this.root = instanceRoot(host.prefix, spec.name);
    this.kind = kindOf(spec.name.kind);
    this.#host = host;
    const { port, visit } = host;
    this.#resident = this.kind.resident?.({
      name: spec.name,
      owner: host.owner,
      ask: (step, asked) => this.#askStep(step, asked),
      port: port.bind(host),
      visit: visit.bind(host),
    });
  }

  get parked(): number {
    return this.#parked.size;
  }

  get spec(): InstanceSpec<K> {
    return this.#spec;
  }

  get awaitsAnswers(): boolean {
    return this.#inFlight > 0;
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

  /** For who only looks in: it is opened when it is not there. */
  visit(): Port {
    if (this.#opening === undefined) this.#open = true;
    return { ...this.port(this.#spec), call: (op, body, options) => this.#call(undefined, op, body, options) as never };
  }

  #call<Op extends CommandName>(
    gate: Gate | undefined,
    op: Op,
    body: Body<Op>,
    options: CallOptions | undefined,
  ): Promise<Reply<Op>> {
    return new Promise((resolve, reject) => {
      const call = this.#newCall(op, body, options, resolve as (value: unknown) => void, reject);
      const passes = gate === undefined || (gate.open && this.#entering === undefined && this.#heard);
      if (passes) return this.#issue(call);
      const entering = this.#enter(gate, call, this.#entering).finally(() => {
        if (this.#entering === entering) this.#entering = undefined;
      });
      this.#entering = entering;
    });
  }

  #issue(call: Call): void {
    const script = call.script as Script | Routine;
    this.#lane.enter(() => ("run" in script ? this.#perform(call, script) : this.#host.calls.add(call)));
  }

  /** A command that runs in this process. */
  async #perform(call: Call, { run }: Routine): Promise<void> {
    if (call.abandoned) return;
    try {
      this.#finish(call, await run(call.body, this.#resident!));
    } catch (error) {
      this.refuse(call, error as Error);
    }
  }

  /** A step of a routine, or of the resident. */
  #askStep<Asked, Answer>(step: Step<Asked, Answer>, asked: Asked): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const op = `${this.#spec.name.kind}.stats` as CommandName;
      const call = this.#newCall(op, asked as never, undefined, resolve as (value: unknown) => void, reject);
      this.#host.calls.add(Object.assign(call, { script: step as unknown as Script, part: true }));
    });
  }

  #newCall(
    op: CommandName,
    body: Body<CommandName>,
    options: CallOptions | undefined,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
    seq = this.#host.nextSeq(),
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
      seq,
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
      lane: waitUntil > 0 ? script.lane?.(body) : undefined,
      woken: false,
      last: false,
      stopListening: undefined,
    };
    if (signal) this.#listenTo(signal, call);
    this.#underWay.add(call);
    return call;
  }

  /** Calls before their port is open, in their order, which is also that of other ports of this process. */
  async #enter(gate: Gate, call: Call, before: Promise<void> | undefined): Promise<void> {
    try {
      await gate.pass();
    } catch (error) {
      void this.#outlast(gate, call, error as Error);
      return;
    }
    await before;
    if (!this.#heard) await Promise.race([this.#hearing, new Promise((resolve) => setTimeout(resolve, HEAR_MS))]);
    if (!call.abandoned) this.#issue(call);
  }

  /** Those that wait outlast a server that is away. */
  async #outlast(gate: Gate, call: Call, failure: Error): Promise<void> {
    for (let error = failure; ; ) {
      const retryable = error instanceof TabloomError && error.retryable;
      if (this.#host.closed || !retryable || call.waitUntil <= performance.now()) return this.refuse(call, error);
      try {
        await gate.pass();
        break;
      } catch (again) {
        error = again as Error;
      }
    }
    if (!call.abandoned) this.#issue(call);
  }

  /** The call ends with an error. */
  refuse(call: Call, error: Error): void {
    this.#done(call);
    if (!call.abandoned && !call.part) this.#host.traced(this as unknown as Instance, call.op, call.body, error);
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
    const { script, body } = call;
    let reply: unknown;
    if (script.none) {
      const [served, given] = raw as [number, Raw];
      if (served === 0 && call.waitUntil > 0 && !call.last) return this.#park(call);
      reply = served === 0 ? script.none(body) : script.reply(given as never, body);
    } else reply = script.reply(raw as never, body);
    if (script.holds && !this.holding) this.holding = true;
    this.#finish(call, reply);
    if (script.opens) this.#wakeLanes(script.opens(body));
  }

  #finish(call: Call, reply: unknown): void {
    const { op, body } = call;
    this.#done(call);
    call.stopListening?.();
    if (call.part) return call.resolve(reply);
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
    if (this.kind.sweep || this.#resident) void this.#watch().catch(() => {});
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
      // Before the calls that found the data gone.
      new Promise((resolve, reject) => this.#issue(this.#newCall(op, body, undefined, resolve, reject, 0))).then(
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
    // What came overtook the answer that nothing had come.
    if (call.woken) return this.#ask([call]);
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

  #wakeLanes(lanes: readonly string[]): void {
    for (const call of this.#underWay) call.woken ||= call.sent && call.lane !== undefined && lanes.includes(call.lane);
    const calls = lanes.flatMap((lane) => [...this.#parked.of(lane)]);
    for (const call of calls) this.#parked.delete(call);
    if (calls.length > 0) this.#ask(calls);
  }

  #ask(parked: readonly Call[]): void {
    for (const call of parked) this.#underWay.add(call);
    this.#host.calls.resume(parked);
  }

  #unwait(calls: readonly Call[]): void {
    const ids = calls.map(({ id }) => id);
    this.#host.run(this as unknown as Instance, this.kind.unwait ?? "instance-unwait", ids).catch(() => {});
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
    void this.#resident?.look();
  }

  /** A message on the wake channel: "wake", "wake <lane> <lane> …", "due <ms>", or "made": what was before is gone. */
  #woken(text: string): void {
    if (text === "wake") {
      for (const call of this.#underWay) call.woken ||= call.sent && call.waitUntil > 0;
      this.retryParked();
      void this.#resident?.look();
    } else if (text.startsWith("wake ")) this.#wakeLanes(text.slice(5).split(" "));
    else if (text.startsWith("due ")) this.noteDue(Number(text.slice(4)));
    else if (text === "made") {
      // By another process; of its own doing it knows.
      if (this.#open && this.#opening === undefined) this.reassert({ remembers: false });
      this.#missed();
    }
  }

  noteDue(ms: number): void {
    if (ms >= 0) this.#resident?.due(ms);
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
    if (this.#resident) return this.#resident.look();
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
    // What was published before the subscription stood is in the log; not every kind has one.
    if (this.#hearing === undefined) {
      this.#heard = false;
      this.#hearing = this.#host.client
        .subscribe(channel, (text) => this.#hear(text))
        .finally(() => (this.#heard = true));
    }
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
    for (const [n, event] of parseEvents(text)) for (const listener of this.#listeners) listener.event(event, n);
  }

  /** The subscription stands again: what was said meanwhile is missed. */
  resync(): void {
    this.#missed();
    void this.sweep();
  }

  #missed(): void {
    for (const listener of this.#listeners) listener.resync();
    this.retryParked();
  }

  /** The server answers again. What this process held may be over by now. */
  reconnected(): void {
    if (this.#open) this.reassert({ remembers: true });
    if (this.#open) void this.renew();
    this.#release();
  }

  /** Says of itself what is forgotten unless it is said from time to time. */
  remind(): void {
    const now = performance.now();
    if (!this.#open || now - this.#toldAt < (this.kind.reassertMs ?? Infinity)) return;
    this.#toldAt = now;
    this.reassert({ remembers: true });
  }

  /** Says that this process lives, as long as it holds something. */
  async renew(): Promise<void> {
    if (!this.holding) return;
    try {
      this.holding = (await this.#host.run(this as unknown as Instance, "instance-renew", [this.#host.owner])) === 1;
    } catch (error) {
      if (failureOf(error).what !== "unopened") return;
      this.#open = false;
      this.#reopenSoon();
      return;
    }
    // It holds nothing, and has nothing to tell; or it was taken for dead.
    if (!this.holding) this.reassert({ remembers: false });
  }

  // --- The end ------------------------------------------------------------------------------------------------------

  async handBack(): Promise<void> {
    await this.#resident?.leave();
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
    this.#resident?.end();
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
