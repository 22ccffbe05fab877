import type { Backend, BackendStatus, FeedListener, InstanceSpec, Port } from "../client/backend.js";
import { isolated } from "../client/isolated.js";
import { atMost } from "../client/signals.js";
import type { Configs, InstanceInfo, InstanceName, Kind, TraceEntry } from "../protocol/commands.js";
import { AbortError, TabloomError, closedError } from "../protocol/errors.js";
import { randomText } from "../protocol/ids.js";
import type { Json } from "../protocol/json.js";
import { instanceKey, parseInstanceKey } from "../protocol/names.js";
import { Calls } from "./calls.js";
import { type Cluster, Client, type Redis, type RedisTarget } from "./client.js";
import { failureOf, offline } from "./failures.js";
import { Instance } from "./instance.js";
import type { InstanceHost } from "./instance-host.js";
import { checkedPrefix, instanceRoot, redisNames } from "./keys.js";
import { COMMON, scriptNamesOf } from "./kinds.js";
import type { Argument, Raw } from "./script.js";
import { Scripts } from "./scripts.js";
import { readServer } from "./server-info.js";
import { checkedTarget, defaultTarget } from "./target.js";
import { Trace } from "./trace.js";

export interface RedisBackendOptions {
  /**
   * Where the server is: a URL, the options of ioredis, or a client (`Redis`, `Cluster`) whose settings are used: the
   * backend opens two connections of its own with them and closes those; the client stays yours. Default `REDIS_URL`,
   * else redis://127.0.0.1:6379.
   */
  redis?: RedisTarget;
  /** In front of every key and channel: apps with another prefix share nothing. Default "tabloom". */
  prefix?: string;
  /** A client that is used for subscriptions, and left open. Default: a connection of our own. */
  subscriber?: Redis | Cluster;
  /** Called after every change of `status`. */
  onStatus?: (status: BackendStatus) => void;
  /** Lets `advanceClock` move this prefix's clock. Tests only. */
  testClock?: boolean;
}

/** While a process holds something it says so this often; a third of the lease that it has (prelude-owners.lua). */
const RENEW_MS = 3000;
/** Parked calls of one instance after the other are asked again this often, should a message have been lost. */
const SAFETY_MS = 1000;
/** Scripts that belong to no call are tried for this long. */
const PATIENCE_MS = 5000;
const PAUSE_MS = 50;
/** Handing back what is held takes no longer than this. */
const LEAVE_MS = 1000;

/**
 * Nine primitives on a Redis server, Valkey, or a Redis Cluster.
 *
 * @throws `VALIDATION` for a bad address or prefix.
 */
export function createRedisBackend(options: RedisBackendOptions = {}): Backend {
  return new RedisBackend(options);
}

class RedisBackend implements Backend, InstanceHost {
  status: BackendStatus;
  readonly owner = randomText(16);
  readonly prefix: string;
  readonly client: Client;
  readonly calls: Calls;
  readonly #scripts: Scripts;
  readonly #trace: Trace;
  readonly #testClock: boolean;
  readonly #byKey = new Map<string, Instance>();
  readonly #statusListeners = new Set<(status: BackendStatus) => void>();
  #seq = 0;
  #begun = false;
  #renewTimer: ReturnType<typeof setInterval> | undefined;
  #safetyTimer: ReturnType<typeof setInterval> | undefined;
  #lastAsked = 0;
  #closing: Promise<void> | undefined;

  constructor({ redis, prefix = "tabloom", subscriber, onStatus, testClock = false }: RedisBackendOptions) {
    this.prefix = checkedPrefix(prefix);
    this.#testClock = testClock;
    this.client = new Client(checkedTarget(redis ?? defaultTarget()), subscriber, {
      ready: () => void this.#ready(),
      lost: (why) => this.#setStatus({ connected: false, state: "connecting", problem: why?.message }),
      subscribed: () => {
        for (const instance of this.#byKey.values()) instance.resync();
      },
    });
    this.#scripts = new Scripts(this.client, COMMON);
    this.calls = new Calls(this.client, this.#scripts, this.owner);
    this.#trace = new Trace(this.client, this.prefix, this.owner);
    this.status = {
      mode: "redis",
      state: "connecting",
      epoch: "",
      connected: false,
      tabId: this.owner,
      durable: false,
      tabs: 1,
      version: __VERSION__,
      upgradeRequired: false,
    };
    if (onStatus) this.#statusListeners.add(onStatus);
  }

  get closed(): boolean {
    return this.status.state === "closed";
  }

  nextSeq(): number {
    this.#begin();
    return ++this.#seq;
  }

  onStatus(listener: (status: BackendStatus) => void): () => void {
    this.#statusListeners.add(listener);
    return () => this.#statusListeners.delete(listener);
  }

  port<K extends Kind>(spec: InstanceSpec<K>): Port {
    return this.#instance(spec).port(spec);
  }

  visit<K extends Kind>(spec: InstanceSpec<K>): Port {
    return this.#instance(spec).visit();
  }

  readonly root: Port = {
    call: (op, body) => this.#callRoot(op, body as never) as never,
    listen: (listener) => this.#followTrace(listener),
    reassert: () => () => {},
  };

  // --- Connecting ---------------------------------------------------------------------------------------------------

  /** With the first call: what is only imported, or made, opens nothing. */
  #begin(): void {
    if (this.#begun) return;
    this.#begun = true;
    this.client.connect();
    void this.client.subscribe(redisNames.control(this.prefix), (text) => this.#control(text));
    this.#renewTimer = setInterval(() => this.#renew(), RENEW_MS);
    this.#renewTimer.unref?.();
    this.#safetyTimer = setInterval(() => this.#askAgain(), SAFETY_MS);
    this.#safetyTimer.unref?.();
  }

  async #ready(): Promise<void> {
    this.#scripts.forget();
    try {
      // Before the first call: nothing is missed by those who follow.
      await this.#trace.connected();
      await this.#scripts.load();
      if (this.closed) return;
      const { runId, durable, persistence } = await readServer(this.client);
      this.#setStatus({ connected: true, state: "ready", problem: undefined, epoch: runId, durable, persistence });
      for (const instance of this.#byKey.values()) instance.reconnected();
      this.calls.resume();
    } catch (error) {
      // The connection broke again: the next "ready" tries anew. A server that refuses for good is told by the calls.
      const failure = failureOf(error);
      if (failure.what === "refused") this.calls.refuse(failure.error);
      else if (!this.closed)
        setTimeout(() => this.client.ready && !this.#scripts.ready && void this.#ready(), PAUSE_MS);
    }
  }

  #setStatus(change: Partial<BackendStatus>): void {
    const next = { ...this.status, ...change };
    if (this.closed || JSON.stringify(next) === JSON.stringify(this.status)) return;
    this.status = next;
    for (const listener of this.#statusListeners) isolated(() => listener(next));
  }

  // --- Instances ----------------------------------------------------------------------------------------------------

  #instance<K extends Kind>(spec: InstanceSpec<K>): Instance<K> {
    const key = instanceKey(spec.name);
    let instance = this.#byKey.get(key);
    if (instance === undefined) {
      instance = new Instance(spec as unknown as InstanceSpec, this);
      this.#byKey.set(key, instance);
      this.#scripts.want(scriptNamesOf(spec.name.kind));
    }
    return instance as unknown as Instance<K>;
  }

  /** Known to all who look on. */
  async created({ spec: { name } }: Instance): Promise<void> {
    await this.client.call("HSET", redisNames.instances(this.prefix), instanceKey(name), "").catch(() => {});
  }

  /** Runs a script that belongs to no call, as soon as there is a server. */
  run(instance: Instance, lua: string, args: readonly Argument[]): Promise<Raw> {
    return this.#patiently(async () => {
      if (this.status.connected) await this.#scripts.load();
      if (!this.#scripts.ready) throw new Error("Connection is closed");
      const { sha, parts } = this.#scripts.loaded(lua);
      return this.client.evalsha(sha, instance.keys(parts), args);
    });
  }

  /** What is tried may run twice. */
  async #patiently(attempt: () => Promise<Raw>): Promise<Raw> {
    this.#begin();
    const endAt = performance.now() + PATIENCE_MS;
    for (;;) {
      if (this.client.unusable) throw this.client.unusable;
      try {
        if (!this.client.ready) throw new Error("Connection is closed");
        return await attempt();
      } catch (error) {
        const failure = failureOf(error);
        if (failure.what === "refused") throw failure.error;
        if (failure.what === "unopened") throw error;
        if (failure.what === "unloaded") {
          this.#scripts.forget();
          await this.#scripts.load().catch(() => {});
        } else if (this.closed || performance.now() >= endAt) throw offline(this.client.lastError ?? failure.error);
        await new Promise((resolve) => setTimeout(resolve, failure.what === "unloaded" ? 0 : PAUSE_MS));
      }
    }
  }

  #ask(command: string, ...args: Argument[]): Promise<Raw> {
    return this.#patiently(() => this.client.call(command, ...args));
  }

  traced(instance: Instance, op: string, body: unknown, error: Error | undefined): void {
    this.#trace.command(instance.spec.name, op, body as Json, error);
  }

  // --- What is heard, and what time brings --------------------------------------------------------------------------

  #renew(): void {
    for (const instance of this.#byKey.values()) instance.renew();
  }

  #askAgain(): void {
    const waiting = [...this.#byKey.values()].filter(({ parked }) => parked > 0);
    if (waiting.length > 0) waiting[this.#lastAsked++ % waiting.length]!.retryParked();
  }

  async clockOffset(): Promise<number> {
    if (!this.#testClock) return 0;
    return Number((await this.#ask("GET", redisNames.clock(this.prefix))) ?? 0);
  }

  async advanceClock(ms: number): Promise<void> {
    if (!this.#testClock) throw new TabloomError("UNAVAILABLE", "this backend was not made with testClock");
    // What was asked for before is under the time before.
    await Promise.all([...this.#byKey.values()].map((instance) => instance.settled()));
    const instances = (await this.#known()).map(({ instance }) => instance);
    const offset = (await this.client.call("INCRBY", redisNames.clock(this.prefix), ms)) as number;
    await Promise.all(instances.map((instance) => this.run(instance, "instance-clock", [offset])));
    await this.client.call("PUBLISH", redisNames.control(this.prefix), `clock ${ms} ${this.owner}`);
    for (const instance of instances) instance.clockMoved(ms);
    await Promise.all(instances.map((instance) => instance.sweep()));
    await Promise.all(instances.map((instance) => instance.settled()));
  }

  /** A message on the control channel. */
  #control(text: string): void {
    const [what, ms, by] = text.split(" ");
    if (what === "trace") this.#trace.isFollowed();
    if (what !== "clock" || by === this.owner) return;
    for (const instance of this.#byKey.values()) instance.clockMoved(Number(ms));
  }

  // --- Looking on ---------------------------------------------------------------------------------------------------

  /** Every instance of this prefix; those that are gone are taken from the index. */
  async #known(): Promise<{ spec: InstanceSpec; instance: Instance }[]> {
    await this.#connected();
    const index = redisNames.instances(this.prefix);
    const keys = ((await this.#ask("HKEYS", index)) as string[]) ?? [];
    const found = await Promise.all(
      keys.map(async (key) => {
        const name = parseInstanceKey(key);
        const spec = await this.#specOf(name);
        if (spec === undefined) await this.#ask("HDEL", index, key);
        return spec && { spec, instance: this.#instance(spec) };
      }),
    );
    return found.filter((known) => known !== undefined);
  }

  async #specOf(name: InstanceName): Promise<InstanceSpec | undefined> {
    const meta = redisNames.key(instanceRoot(this.prefix, name), "meta");
    const [config, durability] = (await this.#ask("HMGET", meta, "config", "durability")) as (string | null)[];
    if (config === null || config === undefined) return undefined;
    return { name, config: JSON.parse(config) as Configs[Kind], durability: (durability ?? "relaxed") as never };
  }

  async #connected(): Promise<void> {
    if (this.closed) throw closedError("backend");
    this.#begin();
    const endAt = performance.now() + PATIENCE_MS;
    while (this.status.state !== "ready") {
      if (this.closed) throw closedError("backend");
      if (this.client.unusable) throw this.client.unusable;
      if (performance.now() >= endAt) throw offline(this.client.lastError);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async #callRoot(op: string, body: { name: InstanceName; limit: number }): Promise<unknown> {
    await this.#connected();
    // Who follows hears of everything that is asked for after this.
    await this.#trace.begun;
    if (op === "space.instances") {
      const known = await this.#known();
      return Promise.all(known.map(({ spec, instance }) => infoOf(spec, instance)));
    }
    const spec = await this.#specOf(body.name);
    if (spec === undefined) return [];
    const instance = this.#instance(spec);
    const look = (lua: string, args: readonly Argument[]): Promise<Raw> => this.run(instance, lua, args);
    return instance.kind.peek(instance.port(spec), body.limit, spec, look);
  }

  #followTrace(listener: FeedListener): () => void {
    this.#begin();
    return this.#trace.follow((entry: TraceEntry) => listener.event({ type: "space.traced", entry }, 0));
  }

  // --- The end ------------------------------------------------------------------------------------------------------

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    clearInterval(this.#renewTimer);
    clearInterval(this.#safetyTimer);
    const error = closedError("backend");
    const instances = [...this.#byKey.values()];
    if (this.#begun && this.client.ready) {
      const leaving = instances.map((instance) => instance.leave(new AbortError(error)));
      // Nobody is kept from leaving by a server that does not answer.
      await atMost(LEAVE_MS, Promise.allSettled(leaving));
    }
    this.#setStatus({ state: "closed", connected: false });
    this.calls.close(error);
    for (const instance of instances) instance.close(error);
    this.#trace.close();
    this.client.close();
  }
}

async function infoOf(spec: InstanceSpec, instance: Instance): Promise<InstanceInfo> {
  // Every kind has stats; which kind this is, is known at run time only.
  const stats = await instance.port(spec).call(`${spec.name.kind}.stats` as "queue.stats", {});
  return { ...spec, stats: stats as unknown as Json };
}
