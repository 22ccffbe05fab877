import { Cluster, Redis, type ClusterOptions, type RedisOptions } from "ioredis";
import { TabloomError } from "../protocol/errors.js";
import type { Argument, Raw } from "./script.js";

export type { Cluster, Redis, RedisOptions } from "ioredis";

/** Where the server is: an address, the options of ioredis, or a client whose settings are used for connections of our own. */
export type RedisTarget = string | RedisOptions | Redis | Cluster;

export interface ClientEvents {
  ready(): void;
  lost(error: Error | undefined): void;
  /** The subscriber is connected (again); what was published before is missed. */
  subscribed(): void;
}

/** Hears what is published on a channel. */
export type Hearer = (text: string, channel: string) => void;

/** Silence while an answer is due: the connection is dead, though nobody said so. */
const SILENCE_MS = 5000;
const PING_MS = 4000;
/** A server that returns is found within this time. */
const RECONNECT_MAX_MS = 400;

const retryStrategy = (times: number): number => Math.min(20 * 2 ** Math.min(times, 10), RECONNECT_MAX_MS);

/** What every connection of ours must be: nothing is sent twice by itself, and what is lost is said at once. */
const OWN = {
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  enableOfflineQueue: false,
  enableReadyCheck: true,
  maxLoadingRetryTime: 1000,
  socketTimeout: SILENCE_MS,
  lazyConnect: true,
  retryStrategy,
  // A replica that was our master: its successor is asked for again.
  reconnectOnError: (error: Error) => error.message.startsWith("READONLY"),
} satisfies RedisOptions;

/**
 * The connections of one backend: one for commands, one that is subscribed. The one file that knows ioredis. A client
 * that was passed in is not used itself: it may send a command twice after a lost connection.
 */
export class Client {
  readonly isCluster: boolean;
  readonly #commands: Redis | Cluster;
  readonly #subscriber: Redis | Cluster;
  readonly #ownsSubscriber: boolean;
  readonly #events: ClientEvents;
  readonly #channels = new Map<string, Hearer>();
  readonly #patterns = new Map<string, Hearer>();
  /** Subscriptions that wait for a connection. */
  readonly #waiting: (() => void)[] = [];
  #ping: ReturnType<typeof setInterval> | undefined;
  #lastError: Error | undefined;
  #subscriberReady = false;
  #closed = false;

  constructor(target: RedisTarget, subscriber: Redis | Cluster | undefined, events: ClientEvents) {
    this.#events = events;
    this.#commands = connectionTo(target, {});
    this.isCluster = this.#commands instanceof Cluster;
    this.#ownsSubscriber = subscriber === undefined;
    // RESP3 answers SUBSCRIBE out of line; nothing of it is used here.
    this.#subscriber = subscriber ?? connectionTo(target, { enableOfflineQueue: true, autoResubscribe: false });
    this.#watchCommands();
    this.#watchSubscriber();
  }

  get ready(): boolean {
    return this.#commands.status === "ready";
  }

  get lastError(): Error | undefined {
    return this.#lastError;
  }

  connect(): void {
    const tried = (error: Error): void => {
      this.#lastError = error;
    };
    this.#commands.connect().catch(tried);
    if (this.#subscriber.status === "wait") this.#subscriber.connect().catch(tried);
  }

  evalsha(sha: string, keys: readonly string[], args: readonly Argument[]): Promise<Raw> {
    return this.#commands.evalsha(sha, keys.length, ...keys, ...args) as Promise<Raw>;
  }

  /** One round trip for calls of several instances. */
  evalshaAll(calls: readonly { sha: string; keys: readonly string[]; args: readonly Argument[] }[]): Promise<Raw>[] {
    // One write to the socket instead of one per command.
    const { stream } = this.#commands as { stream?: { cork?(): void; uncork?(): void } };
    if (calls.length > 1) stream?.cork?.();
    try {
      return calls.map(({ sha, keys, args }) => this.evalsha(sha, keys, args));
    } finally {
      if (calls.length > 1) stream?.uncork?.();
    }
  }

  /** Every master learns the script. */
  async load(text: string): Promise<string> {
    const nodes = this.#commands instanceof Cluster ? this.#commands.nodes("master") : [this.#commands];
    const shas = await Promise.all(nodes.map(async (node) => (await node.script("LOAD", text)) as string));
    if (shas[0] === undefined) throw new Error("Connection is closed: the cluster has no master");
    return shas[0];
  }

  /** A command outside the scripts: the index of instances, the clock of tests, INFO. */
  call(command: string, ...args: Argument[]): Promise<Raw> {
    return this.#commands.call(command, ...args) as Promise<Raw>;
  }

  /** Resolves when messages of the channel arrive from now on. One hearer per channel. */
  async subscribe(channel: string, hear: Hearer): Promise<void> {
    this.#channels.set(channel, hear);
    await this.#subscribed(() => this.#subscriber.subscribe(channel));
  }

  async subscribePattern(pattern: string, hear: Hearer): Promise<void> {
    this.#patterns.set(pattern, hear);
    await this.#subscribed(() => this.#subscriber.psubscribe(pattern));
  }

  unsubscribe(name: string): void {
    const known = this.#channels.delete(name);
    const pattern = this.#patterns.delete(name);
    if (!this.#subscriberReady) return;
    if (known) this.#subscriber.unsubscribe(name).catch(() => {});
    if (pattern) this.#subscriber.punsubscribe(name).catch(() => {});
  }

  async #subscribed(ask: () => Promise<unknown>): Promise<void> {
    const asked = this.#subscriberReady ? ask().then(() => true, () => false) : Promise.resolve(false);
    // A connection that breaks is made anew, with every subscription that there is by then.
    if (!(await asked)) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#ping);
    if (!this.#ownsSubscriber) for (const name of [...this.#channels.keys(), ...this.#patterns.keys()]) this.unsubscribe(name);
    this.#commands.disconnect();
    if (this.#ownsSubscriber) this.#subscriber.disconnect();
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #watchCommands(): void {
    this.#commands.on("ready", () => {
      this.#lastError = undefined;
      this.#events.ready();
    });
    this.#commands.on("error", (error: Error) => {
      this.#lastError = error;
    });
    this.#commands.on("close", () => this.#events.lost(this.#lastError));
  }

  #watchSubscriber(): void {
    const resubscribe = async (): Promise<void> => {
      if (this.#channels.size > 0) await this.#subscriber.subscribe(...this.#channels.keys());
      if (this.#patterns.size > 0) await this.#subscriber.psubscribe(...this.#patterns.keys());
      this.#subscriberReady = true;
      for (const resolve of this.#waiting.splice(0)) resolve();
      this.#events.subscribed();
    };
    const subscribed = (): void => {
      resubscribe().catch(() => {
        // The connection broke again, or a node of the cluster went: tried anew with the next one.
        if (!this.#closed && this.#subscriber.status === "ready") setTimeout(subscribed, RECONNECT_MAX_MS);
      });
    };
    this.#subscriber.on("ready", subscribed);
    this.#subscriber.on("close", () => {
      this.#subscriberReady = false;
    });
    this.#subscriber.on("error", () => {});
    this.#subscriber.on("message", (channel: string, text: string) => this.#channels.get(channel)?.(text, channel));
    this.#subscriber.on("pmessage", (pattern: string, channel: string, text: string) =>
      this.#patterns.get(pattern)?.(text, channel),
    );
    if (this.#subscriber.status === "ready") subscribed();
    // A subscription that is only listened to would not notice that its server is gone.
    this.#ping = setInterval(() => {
      if (this.#subscriberReady) (this.#subscriber as Redis).ping().catch(() => {});
    }, PING_MS);
    this.#ping.unref?.();
  }
}

function connectionTo(target: RedisTarget, more: RedisOptions): Redis | Cluster {
  const own = { ...OWN, ...more };
  if (typeof target === "string") return new Redis(target, own);
  if (isCluster(target)) {
    const { options } = target;
    return target.duplicate([], clusterOptions(options, own));
  }
  if (isRedis(target)) return target.duplicate(own);
  return new Redis({ ...target, ...own });
}

function clusterOptions(options: ClusterOptions, own: RedisOptions): ClusterOptions {
  const { retryStrategy: _, enableOfflineQueue, lazyConnect: __, reconnectOnError: ___, ...node } = own;
  return {
    ...options,
    enableOfflineQueue: enableOfflineQueue ?? false,
    lazyConnect: true,
    // Would send again what may have run.
    retryDelayOnFailover: 0,
    clusterRetryStrategy: retryStrategy,
    redisOptions: { ...options.redisOptions, ...node },
  };
}

// By shape: the app may have another copy of ioredis.
function isCluster(target: object): target is Cluster {
  return (target as { isCluster?: unknown }).isCluster === true;
}

function isRedis(target: object): target is Redis {
  return typeof (target as { duplicate?: unknown }).duplicate === "function";
}

/** REDIS_URL, or the address where a server usually is. */
export function defaultTarget(): string {
  const url = (globalThis as { process?: { env?: Record<string, string | undefined> } }).process?.env?.["REDIS_URL"];
  return url ?? "redis://127.0.0.1:6379";
}

export function checkedTarget(target: unknown): RedisTarget {
  if (typeof target === "string") {
    if (/^(rediss?|unix):\/\//.test(target) || target.startsWith("/")) return target;
    throw new TabloomError("VALIDATION", `"${target}" is not a Redis URL, such as redis://127.0.0.1:6379`);
  }
  if (typeof target === "object" && target !== null) return target as RedisTarget;
  throw new TabloomError("VALIDATION", "redis must be a URL, the options of ioredis, or a client of it");
}
