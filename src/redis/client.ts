import type * as Ioredis from "ioredis";
import type { Cluster, ClusterOptions, Redis, RedisOptions } from "ioredis";
import { TabloomError } from "../protocol/errors.js";
import { NotSent, unauthorized } from "./failures.js";
import type { Argument, Raw } from "./script.js";

export type { Cluster, Redis, RedisOptions } from "ioredis";

/** Where the server is: an address, the options of ioredis, or a client whose settings are used for connections of our own. */
export type RedisTarget = string | RedisOptions | Redis | Cluster;

type Library = typeof Ioredis;

/** Loaded with the first connection: what is only imported needs no ioredis, and says so where there is none. */
export async function loadIoredis(): Promise<Library> {
  try {
    return await import("ioredis");
  } catch (cause) {
    throw new TabloomError("UNAVAILABLE", "tabloom/server needs the package ioredis: npm install ioredis", { cause });
  }
}

export interface ClientEvents {
  ready(): void;
  /** `why`: as far as it is known. */
  lost(why: Error | undefined): void;
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
/** Between attempts to find a node of a cluster that can be subscribed to. */
const NODE_MS = 50;

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
  // What a client that was passed in may have set: names and replies are ours, and calls leave in their order.
  keyPrefix: "",
  stringNumbers: false,
  replyMapping: "legacy",
  enableAutoPipelining: false,
} satisfies RedisOptions;

/**
 * The connections of one backend: one for commands, one that is subscribed. The one file that knows ioredis. A client
 * that was passed in is not used itself: it may send a command twice after a lost connection.
 */
export class Client {
  readonly #target: RedisTarget;
  /** There once ioredis is loaded. */
  #commands!: Redis | Cluster;
  #subscriber: Redis | undefined;
  readonly #givenSubscriber: Redis | Cluster | undefined;
  readonly #events: ClientEvents;
  readonly #channels = new Map<string, Hearer>();
  readonly #patterns = new Map<string, Hearer>();
  /** Subscriptions that wait for a connection. */
  readonly #waiting: (() => void)[] = [];
  #ping: ReturnType<typeof setInterval> | undefined;
  #lastError: Error | undefined;
  /** Why no call can succeed, until an attempt to connect does. */
  unusable: Error | undefined;
  #subscriberReady = false;
  /** Takes what listens to the subscriber from it. */
  #stopHearing: (() => void) | undefined;
  #leaving = false;
  #closed = false;

  constructor(target: RedisTarget, subscriber: Redis | Cluster | undefined, events: ClientEvents) {
    this.#events = events;
    this.#target = target;
    this.#givenSubscriber = subscriber;
  }

  get ready(): boolean {
    return this.#commands?.status === "ready";
  }

  get lastError(): Error | undefined {
    return this.#lastError;
  }

  connect(): void {
    loadIoredis()
      .then((library) => {
        if (!this.#closed) this.#connectWith(library);
      })
      .catch((error: Error) => {
        this.unusable = error;
      });
  }

  #connectWith(library: Library): void {
    const reconnectOnError = (error: Error): boolean => {
      if (error.message.startsWith("READONLY")) this.#leaveReplica();
      return false;
    };
    this.#commands = connectionTo(library, this.#target, { reconnectOnError });
    this.#watchCommands();
    if (isCluster(this.#commands)) this.#watchNodes(this.#commands);
    this.#commands.connect().catch((error: Error) => (this.#lastError ??= error));
    this.#openSubscriber(library);
    // A subscription that is only listened to would not notice that its server is gone.
    this.#ping = setInterval(() => {
      if (this.#subscriberReady) this.#subscriber?.ping().catch(() => {});
    }, PING_MS);
    this.#ping.unref?.();
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

  /** Every master learns the script; one that is away says NOSCRIPT when it is back. */
  async load(text: string): Promise<string> {
    const nodes = isCluster(this.#commands) ? this.#commands.nodes("master") : [this.#commands];
    if (nodes.length === 0) throw new Error("Cluster isn't ready: it has no master");
    const loaded = await Promise.allSettled(nodes.map((node) => node.script("LOAD", text)));
    const some = loaded.find((one) => one.status === "fulfilled");
    if (some === undefined) throw (loaded[0] as PromiseRejectedResult).reason;
    return some.value as string;
  }

  /** A command outside the scripts: the index of instances, the clock of tests, INFO. */
  call(command: string, ...args: Argument[]): Promise<Raw> {
    return this.#commands.call(command, ...args) as Promise<Raw>;
  }

  /** Resolves when messages of the channel arrive from now on. One hearer per channel. */
  async subscribe(channel: string, hear: Hearer): Promise<void> {
    this.#channels.set(channel, hear);
    await this.#subscribed((subscriber) => subscriber.subscribe(channel));
  }

  async subscribePattern(pattern: string, hear: Hearer): Promise<void> {
    this.#patterns.set(pattern, hear);
    await this.#subscribed((subscriber) => subscriber.psubscribe(pattern));
  }

  unsubscribe(name: string): void {
    const known = this.#channels.delete(name);
    const pattern = this.#patterns.delete(name);
    if (!this.#subscriberReady) return;
    if (known) this.#subscriber?.unsubscribe(name).catch(() => {});
    if (pattern) this.#subscriber?.punsubscribe(name).catch(() => {});
  }

  async #subscribed(ask: (subscriber: Redis) => Promise<unknown>): Promise<void> {
    try {
      if (this.#subscriberReady) return void (await ask(this.#subscriber!));
    } catch {
      // A connection that breaks is made anew, with every subscription that there is by then.
    }
    if (!this.#closed) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#ping);
    if (this.#subscriber === this.#givenSubscriber) {
      for (const name of [...this.#channels.keys(), ...this.#patterns.keys()]) this.unsubscribe(name);
      this.#stopHearing?.();
    } else this.#subscriber?.disconnect();
    this.#commands?.disconnect();
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #watchCommands(): void {
    this.#commands.on("connect", () => (this.unusable = undefined));
    this.#commands.on("ready", () => {
      this.#lastError = undefined;
      this.#events.ready();
    });
    this.#commands.on("error", (error: Error) => {
      this.#lastError = reasonOf(error);
      this.unusable = refusalOf(this.#lastError);
    });
    this.#commands.on("close", () => this.#events.lost(this.#lastError));
  }

  /**
   * A replica that was our master: its successor is asked for again, once everything that was sent has its answer, so
   * that nobody is left in doubt.
   */
  #leaveReplica(): void {
    if (this.#leaving) return;
    this.#leaving = true;
    const leave = (): void => {
      this.#leaving = false;
      if (!this.#closed) (this.#commands as Redis).disconnect(true);
    };
    (this.#commands as Redis).ping().then(leave, leave);
  }

  /** A node that is back, or took another's place, knows no scripts, and what it said meanwhile was missed. */
  #watchNodes(cluster: Cluster): void {
    const away = new Set<string>();
    let masters = "";
    const again = (): void => {
      if (cluster.status !== "ready") return;
      this.#events.ready();
      this.#events.subscribed();
    };
    cluster.on("-node", (node: Redis) => {
      away.add(addressOf(node));
      // It may be no part of the cluster any more.
      const subscriber = this.#subscriber;
      if (subscriber && subscriber !== this.#givenSubscriber && addressOf(subscriber) === addressOf(node)) {
        subscriber.disconnect();
      }
    });
    cluster.on("+node", (node: Redis) =>
      node.once("ready", () => {
        if (away.delete(addressOf(node))) again();
      }),
    );
    cluster.on("refresh", () => {
      const now = cluster.nodes("master").map(addressOf).sort().join();
      if (masters !== "" && masters !== now) again();
      masters = now;
    });
  }

  /**
   * Of a cluster, one of its nodes on a connection of our own: a `Cluster` goes from one node to the next without a word,
   * and what is said meanwhile is missed.
   */
  #openSubscriber(library: Library): void {
    if (this.#closed) return;
    const source = this.#givenSubscriber ?? this.#commands;
    if (!isCluster(source)) {
      const more = { enableOfflineQueue: true, autoResubscribe: false };
      this.#subscriber = this.#givenSubscriber ? source : (connectionTo(library, this.#target, more) as Redis);
    } else {
      const again = (): unknown => setTimeout(() => this.#openSubscriber(library), NODE_MS);
      const nodes = source.nodes();
      const node = nodes[Math.floor(Math.random() * nodes.length)];
      if (node === undefined) return void again();
      const own = { ...OWN, enableOfflineQueue: true, autoResubscribe: false, readOnly: false };
      this.#subscriber = node.duplicate({ ...own, retryStrategy: () => null });
      this.#subscriber.once("end", again);
    }
    this.#watchSubscriber(this.#subscriber);
    if (this.#subscriber.status === "wait") this.#subscriber.connect().catch(() => {});
  }

  #watchSubscriber(subscriber: Redis): void {
    const resubscribe = async (): Promise<void> => {
      const asked = new Set<string>();
      const unasked = (names: Map<string, Hearer>): string[] => {
        const found = [...names.keys()].filter((name) => !asked.has(name));
        for (const name of found) asked.add(name);
        return found;
      };
      // Others may be added meanwhile: they wait for this, too.
      for (;;) {
        const [channels, patterns] = [unasked(this.#channels), unasked(this.#patterns)];
        if (channels.length + patterns.length === 0) break;
        if (channels.length > 0) await subscriber.subscribe(...channels);
        if (patterns.length > 0) await subscriber.psubscribe(...patterns);
      }
      this.#subscriberReady = true;
      for (const resolve of this.#waiting.splice(0)) resolve();
      this.#events.subscribed();
    };
    const subscribed = (): void => {
      resubscribe().catch(() => {
        // The connection broke again: tried anew with the next one.
        if (!this.#closed && subscriber.status === "ready") setTimeout(subscribed, RECONNECT_MAX_MS);
      });
    };
    const listeners = Object.entries({
      ready: subscribed,
      close: () => (this.#subscriberReady = false),
      error: () => {},
      message: (channel: string, text: string) => this.#channels.get(channel)?.(text, channel),
      pmessage: (pattern: string, channel: string, text: string) => this.#patterns.get(pattern)?.(text, channel),
    });
    for (const [event, listener] of listeners) subscriber.on(event, listener);
    this.#stopHearing = () => listeners.forEach(([event, listener]) => subscriber.off(event, listener));
    if (subscriber.status === "ready") subscribed();
  }
}

function connectionTo({ Redis }: Library, target: RedisTarget, more: RedisOptions): Redis | Cluster {
  const own = { ...OWN, ...more };
  if (typeof target === "string") return new Redis(target, own);
  if (isCluster(target)) {
    return withKnownFates(target.duplicate([], clusterOptions(target.options, own)));
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
    keyPrefix: "",
    enableAutoPipelining: false,
    // A replica may not have heard yet of what its master said.
    scaleReads: "master",
    // Would send again what may have run; and past others that wait for the same.
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    clusterRetryStrategy: retryStrategy,
    redisOptions: { ...options.redisOptions, ...node },
  };
}

/**
 * A node that is away ends calls before they were sent to it: those did not run. And a slot that has moved: ioredis
 * would send each call after it by itself, past those that are still on their way back.
 */
function withKnownFates(cluster: Cluster): Cluster {
  const send = cluster.sendCommand;
  cluster.sendCommand = function sendKnown(command, stream, node) {
    if (command.name !== "evalsha") return send.call(cluster, command, stream, node);
    let sent = false;
    const write = command.toWritable;
    command.toWritable = (socket) => {
      sent = true;
      return write.call(command, socket);
    };
    const refuse = command.reject;
    command.reject = (error) => refuse(sent ? error : new NotSent(error));
    const reply = send.call(cluster, command, stream, node);
    const redirect = command.reject;
    command.reject = (error) => {
      if (/^(MOVED|ASK|TRYAGAIN|CLUSTERDOWN)\b/.test(error.message)) sent = false;
      if (!error.message.startsWith("MOVED")) return redirect(error);
      cluster.refreshSlotsCache();
      refuse(error);
    };
    return reply;
  };
  return cluster;
}

/** Of a cluster: what its last node said; of a name that has several addresses: what the first did. */
function reasonOf(error: Error & { lastNodeError?: Error; errors?: readonly Error[] }): Error {
  return error.lastNodeError ?? error.errors?.[0] ?? error;
}

/** What no further attempt gets around. */
function refusalOf(error: Error): TabloomError | undefined {
  // ioredis would go on with database 0.
  if (error.message.includes("DB index")) return new TabloomError("VALIDATION", `Redis: ${error.message}`);
  return unauthorized(error);
}

const addressOf = ({ options: { host, port } }: Redis): string => `${host}:${port}`;

// By shape: the app may have another copy of ioredis.
function isCluster(target: object): target is Cluster {
  return (target as { isCluster?: unknown }).isCluster === true;
}

function isRedis(target: object): target is Redis {
  return typeof (target as { duplicate?: unknown }).duplicate === "function";
}
