import { type EphemeralCommands, type EphemeralConfig, ephemeralTraits } from "./ephemeral.js";
import { type JobCommands, type JobConfig, jobTraits } from "./job.js";
import { type MutexCommands, type MutexConfig, mutexTraits } from "./mutex.js";
import { type QueueCommands, type QueueConfig, queueTraits } from "./queue.js";
import { type RatelimitCommands, type RatelimitConfig, ratelimitTraits } from "./ratelimit.js";
import { type RegistryCommands, type RegistryConfig, registryTraits } from "./registry.js";
import { type SchedulerCommands, type SchedulerConfig, schedulerTraits } from "./scheduler.js";
import { type SpaceCommands, spaceTraits } from "./space.js";
import { type TopicCommands, type TopicConfig, topicTraits } from "./topic.js";
import { type CommandTraits, read } from "./traits.js";

/**
 * Every command that a client may give to a backend: the name, the body, the reply. The same names and fields are used
 * by the engine's rules, the hub's wire and the Redis scripts.
 *
 * Rules for a new command: it touches one instance only; ids come with it (the client makes them); payloads are opaque
 * JSON text, "" standing for `undefined`; absent fields mean the documented default.
 */

export type Kind = "ratelimit" | "mutex" | "queue" | "topic" | "job" | "scheduler" | "registry" | "ephemeral";

/** memory: dies with the hub. relaxed: survives tab, worker, browser. strict: flushed to disk before the answer. */
export type Durability = "memory" | "relaxed" | "strict";

/** What makes two handles share state. */
export interface InstanceName<K extends Kind = Kind> {
  prefix: string;
  kind: K;
  tenantId: string;
  id: string;
}

export interface Configs {
  ratelimit: RatelimitConfig;
  mutex: MutexConfig;
  queue: QueueConfig;
  topic: TopicConfig;
  job: JobConfig;
  scheduler: SchedulerConfig;
  registry: RegistryConfig;
  ephemeral: EphemeralConfig;
}

/** Settings that may not change once an instance exists. */
export const fixedSettings: { readonly [K in Kind]: readonly (keyof Configs[K] & string)[] } = {
  ratelimit: ["algorithm", "windowMs"],
  mutex: [],
  queue: ["ordering"],
  topic: [],
  job: [],
  scheduler: [],
  registry: [],
  ephemeral: [],
};

export interface OpenBody<K extends Kind = Kind> {
  name: InstanceName<K>;
  config: Configs[K];
  durability: Durability;
  /** Becomes the log generation if this call creates the instance. */
  seed: string;
}

export interface InstanceCommands {
  "instance.open": { body: OpenBody; reply: { durability: Durability } };
  /** Whether this tab hears the instance's events. */
  "instance.listen": { body: { on: boolean }; reply: null };
}

export interface Commands
  extends
    InstanceCommands,
    SpaceCommands,
    RatelimitCommands,
    MutexCommands,
    QueueCommands,
    TopicCommands,
    JobCommands,
    SchedulerCommands,
    RegistryCommands,
    EphemeralCommands {}

export type CommandName = keyof Commands;
export type Body<Op extends CommandName> = Commands[Op]["body"];
export type Reply<Op extends CommandName> = Commands[Op]["reply"];

export const commandTraits: Readonly<Record<CommandName, CommandTraits>> = {
  "instance.open": { resend: "rerun", grows: true },
  "instance.listen": read,
  ...spaceTraits,
  ...ratelimitTraits,
  ...mutexTraits,
  ...queueTraits,
  ...topicTraits,
  ...jobTraits,
  ...schedulerTraits,
  ...registryTraits,
  ...ephemeralTraits,
};

export type * from "./entries.js";
export type * from "./ephemeral.js";
export type * from "./job.js";
export type * from "./mutex.js";
export type * from "./queue.js";
export type * from "./ratelimit.js";
export type * from "./registry.js";
export type * from "./scheduler.js";
export type * from "./space.js";
export type * from "./topic.js";
