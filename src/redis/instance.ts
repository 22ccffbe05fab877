import type { CallOptions, FeedListener, InstanceSpec, Port, Reassertion } from "../client/backend.js";
import { onAbort } from "../client/signals.js";
import type { Body, CommandName, Kind, Reply } from "../protocol/commands.js";
import { AbortError, TabloomError, closedError } from "../protocol/errors.js";
import { type Call, end, endEarlier, makeCall } from "./call.js";
import { Entrance } from "./entrance.js";
import type { InstanceHost } from "./instance-host.js";
import { kindOf } from "./kinds.js";
import { instanceRoot, redisNames } from "./keys.js";
import { Listeners } from "./listeners.js";
import { Gate, openInstance } from "./opening.js";
import { Openness } from "./openness.js";
import { Presence } from "./presence.js";
import type { Argument, Raw, RedisKind, Resident, Routine, Script, Step } from "./script.js";
import { Sequence } from "./sequence.js";
import { Sweeper } from "./sweeper.js";
import { Taken } from "./taken.js";
import { UnderWay } from "./under-way.js";
import { Waiting } from "./waiting.js";

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
  readonly #sequence = new Sequence();
  readonly #keys = new Map<readonly string[], readonly string[]>();
  readonly #parked = new Waiting((calls) => this.#ask(calls));
  readonly #sweeper = new Sweeper(() => this.#runSweep());
  readonly #listeners: Listeners;
  readonly #entrance = new Entrance({
    issue: (call) => this.#issue(call),
    refuse: (call, error) => this.refuse(call, error),
    deaf: () => this.#listeners.deaf,
    closed: () => this.#host.closed,
  });
  readonly #presence: Presence;
  readonly #taken: Taken;
  readonly #underWay = new UnderWay();
  readonly openness: Openness<K>;
  #watching: Promise<void> | undefined;
  #watched = false;

  constructor(spec: InstanceSpec<K>, host: InstanceHost) {
    this.root = instanceRoot(host.prefix, spec.name);
    this.kind = kindOf(spec.name.kind);
    this.#host = host;
    this.openness = new Openness(spec, {
      open: (asked) => this.#openOnServer(asked),
      reopened: () => this.#presence.say({ remembers: false }),
      resume: (calls) => host.calls.resume(calls),
      refuse: (call, error) => this.refuse(call, error),
      closed: () => host.closed,
    });
    this.#taken = new Taken(this.kind.tracks);
    this.#listeners = new Listeners(host.client, redisNames.eventChannel(this.root));
    this.#presence = new Presence({
      say: (told) => this.#say(told),
      renew: () => this.#run("instance-renew", [host.owner]),
      lost: () => this.openness.lost(),
      everyMs: this.kind.reassertMs ?? Infinity,
    });
    this.#resident = this.kind.resident?.({
      name: spec.name,
      owner: host.owner,
      ask: (step, asked) => this.#askStep(step, asked),
      visit: (other) => host.visit(other),
    });
  }

  get parked(): number {
    return this.#parked.size;
  }

  get spec(): InstanceSpec<K> {
    return this.openness.spec;
  }

  keys(parts: readonly string[]): readonly string[] {
    let keys = this.#keys.get(parts);
    if (keys === undefined) this.#keys.set(parts, (keys = parts.map((part) => redisNames.key(this.root, part))));
    return keys;
  }

  /** For handles with these settings: the first call of each port opens the instance with them. */
  port(spec: InstanceSpec<K>): Port {
    const gate = new Gate(() => this.openness.openWith(spec));
    return {
      call: (op, body, options) => this.#call(gate, op, body, options) as never,
      listen: (listener: FeedListener) => this.#listeners.add(listener),
      reassert: (tell: Parameters<Port["reassert"]>[0]) => this.#presence.add(tell),
    };
  }

  /** For who only looks in, after what this process has asked for before: it is opened when it is not there. */
  visit(): Port {
    if (!this.openness.opening) this.openness.open = true;
    return { ...this.port(this.spec), call: (op, body, options) => this.#call(undefined, op, body, options) as never };
  }

  #call<Op extends CommandName>(
    gate: Gate | undefined,
    op: Op,
    body: Body<Op>,
    options: CallOptions | undefined,
  ): Promise<Reply<Op>> {
    return new Promise((resolve, reject) => {
      const call = this.#newCall(op, body, options, resolve as (value: unknown) => void, reject);
      this.#entrance.pass(gate, call);
    });
  }

  #issue(call: Call): void {
    const script = call.script as Script | Routine;
    this.#sequence.enter(() => ("run" in script ? this.#perform(call, script) : this.#host.calls.add(call)));
  }

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
      const op = `${this.spec.name.kind}.stats` as CommandName;
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
    const { name } = this.spec;
    const script = (this.kind.scripts as Record<string, Script | undefined>)[op];
    if (script === undefined) throw new TabloomError("VALIDATION", `${op} is not a command of a ${name.kind}`);
    const asked = { op, body, options, seq };
    const call = makeCall(this as unknown as Instance, script, asked, { resolve, reject });
    if (signal) this.#listenTo(signal, call);
    this.#underWay.add(call);
    return call;
  }

  /** The call ends with an error. */
  refuse(call: Call, error: Error): void {
    this.#underWay.done(call);
    if (!call.abandoned && !call.part) this.#host.traced(this as unknown as Instance, call.op, call.body, error);
    end(call, error);
  }

  // --- Calls on their way -------------------------------------------------------------------------------------------

  /** Whether the call must stay here: the data is gone, or calls before it are to be sent again first. */
  holdsBack(call: Call): boolean {
    // Who waits must hear of what comes: the subscription is there before the call asks.
    const deaf = call.waitUntil > 0 && !call.last && !this.#watched;
    if (this.openness.open && !deaf) return false;
    this.openness.hold(call);
    if (this.openness.open) {
      this.#watch().then(
        () => this.openness.release(),
        () => {},
      );
    }
    return true;
  }

  settled(): Promise<void> {
    return this.#underWay.settled();
  }

  /** The server does not have it any more. */
  reopen(call: Call): void {
    this.openness.open = false;
    this.openness.hold(call);
  }

  settle(call: Call, raw: Raw): void {
    const { script, body } = call;
    const more = script.again?.(raw as never, body);
    if (more !== undefined) return this.#ask([Object.assign(call, { body: more })]);
    let reply: unknown;
    if (script.none) {
      const [served, given] = raw as [number, Raw];
      if (served === 0 && call.waitUntil > 0 && !call.last) return this.#park(call);
      reply = served === 0 ? script.none(body) : script.reply(given as never, body);
    } else reply = script.reply(raw as never, body);
    if (script.holds) this.#presence.holding = true;
    this.#finish(call, reply);
    if (script.opens) this.#wakeLanes(script.opens(body));
  }

  #finish(call: Call, reply: unknown): void {
    const { op, body } = call;
    this.#underWay.done(call);
    call.stopListening?.();
    if (call.part) return call.resolve(reply);
    this.#taken.note(op, body, reply);
    this.#host.traced(this as unknown as Instance, op, body, undefined);
    if (call.abandoned) call.options?.onLate?.(reply as never);
    else call.resolve(reply);
  }

  #listenTo(signal: AbortSignal, call: Call): void {
    const abandon = (): void => {
      if (call.abandoned) return;
      call.abandoned = true;
      call.reject(new AbortError(signal.reason));
      if (!call.sent) this.#underWay.done(call);
      if (this.#parked.delete(call)) this.#unwait([call]);
      else if (!call.sent) this.#host.calls.drop(call);
    };
    call.stopListening = onAbort(signal, abandon);
  }

  // --- Opening ------------------------------------------------------------------------------------------------------

  async #openOnServer(spec: InstanceSpec<K>): Promise<void> {
    const run = (args: readonly Argument[]): Promise<Raw> => this.#run("instance-open", args);
    const { made, dueIn } = await openInstance(spec, this.kind, await this.#host.clockOffset(), run);
    if (made) await this.#host.created(this as unknown as Instance);
    if (this.kind.sweep || this.#resident) void this.#watch().catch(() => {});
    this.#noteDue(dueIn);
  }

  /** What is told before the calls that found the data gone. */
  #say({ op, body }: Reassertion): Promise<unknown> {
    return new Promise((resolve, reject) => this.#issue(this.#newCall(op, body, undefined, resolve, reject, 0)));
  }

  // --- Waiting ------------------------------------------------------------------------------------------------------

  #watch(): Promise<void> {
    return (this.#watching ??= this.#host.client
      .subscribe(redisNames.wakeChannel(this.root), (text) => this.#woken(text))
      .then(() => {
        this.#watched = true;
        // What was said to be due before this process could hear it.
        void this.sweep();
      }));
  }

  #park(call: Call): void {
    this.#underWay.done(call);
    if (call.abandoned) return this.#unwait([call]);
    // What came overtook the answer that nothing had come.
    if (call.woken) return this.#ask([call]);
    this.#parked.add(call);
  }

  retryParked(): void {
    this.#parked.retry();
  }

  #wakeLanes(lanes: readonly string[]): void {
    this.#underWay.wake(lanes);
    this.#parked.retryLanes(lanes);
  }

  #ask(parked: readonly Call[]): void {
    for (const call of parked) this.#underWay.add(call);
    this.#host.calls.resume(parked);
  }

  #run(lua: string, args: readonly Argument[]): Promise<Raw> {
    return this.#host.run(this as unknown as Instance, lua, args);
  }

  #unwait(calls: readonly Call[]): void {
    const ids = calls.map(({ id }) => id);
    this.#run(this.kind.unwait ?? "instance-unwait", ids).catch(() => {});
  }

  /** A test's clock has moved: waits end so much earlier. */
  clockMoved(ms: number): void {
    for (const call of [...this.#parked, ...this.#underWay]) endEarlier(call, ms);
    this.#parked.endOverdue();
    void this.#resident?.look();
  }

  /** A message on the wake channel: "wake", "wake <lane> <lane> …", "due <ms>", or "made": what was before is gone. */
  #woken(text: string): void {
    if (text === "wake") {
      this.#underWay.wake();
      this.retryParked();
      void this.#resident?.look();
    } else if (text.startsWith("wake ")) this.#wakeLanes(text.slice(5).split(" "));
    else if (text.startsWith("due ")) this.#noteDue(Number(text.slice(4)));
    else if (text === "made") {
      // By another process; of its own doing it knows.
      if (this.openness.open && !this.openness.opening) this.#presence.say({ remembers: false });
      this.#missed();
    }
  }

  #noteDue(ms: number): void {
    if (this.#host.closed) return;
    if (ms >= 0) this.#resident?.due(ms);
    if (this.kind.sweep) this.#sweeper.due(ms, this.#parked.size > 0);
  }

  /** Does what time has brought; what waits is told by the script. */
  sweep(): Promise<void> {
    return this.#resident ? this.#resident.look() : this.#sweeper.sweep();
  }

  async #runSweep(): Promise<readonly [number, number] | undefined> {
    if (!this.openness.open || this.kind.sweep === undefined || this.#host.closed) return undefined;
    try {
      return (await this.#run(this.kind.sweep, [this.#host.owner])) as [number, number];
    } catch {
      return undefined;
    }
  }

  // --- What was missed, and what is told ------------------------------------------------------------------------------

  /** The subscription stands again: what was said meanwhile is missed. */
  resync(): void {
    this.#missed();
    void this.sweep();
  }

  #missed(): void {
    this.#listeners.resync();
    this.retryParked();
  }

  /** The server answers again. What this process held may be over by now. */
  reconnected(): void {
    if (this.openness.open) {
      this.#presence.say({ remembers: true });
      void this.#presence.renew();
    }
    this.openness.release();
  }

  /** Says from time to time that this process is there, and what it holds. */
  renew(): void {
    if (!this.openness.open) return;
    void this.#presence.renew();
    this.#presence.remind();
  }

  // --- The end ------------------------------------------------------------------------------------------------------

  /** Ends the calls that wait, on both sides, and hands back what is held; that of calls on their way, too. */
  async leave(error: Error): Promise<void> {
    const waiting = [...this.#parked.takeAll(), ...this.#underWay].filter((call) => call.waitUntil > 0);
    for (const call of waiting) {
      end(call, error);
      call.abandoned = true;
    }
    if (waiting.length > 0) this.#unwait(waiting);
    await this.settled();
    await this.#resident?.leave();
    await this.#taken.handBack(this.port(this.spec));
    if (this.kind.goodbye && this.openness.open) await this.#run(this.kind.goodbye, [this.#host.owner]);
  }

  close(error: Error): void {
    this.#resident?.end();
    this.#sweeper.stop();
    this.#parked.stop();
    for (const call of [...this.#parked.takeAll(), ...this.openness.takeHeld()]) end(call, error);
    this.#underWay.release();
  }
}
