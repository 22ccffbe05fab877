import {
  type Configs,
  type Durability,
  type InstanceName,
  type Kind,
  type OpenBody,
  fixedSettings,
} from "../protocol/commands.js";
import { TabloomError, conflictError } from "../protocol/errors.js";
import { instanceKey } from "../protocol/names.js";
import type { Instance } from "./instance.js";
import type { AnyPrimitive, Table } from "./primitive.js";
import { type AllRows, groupRows } from "./turn.js";
import { ephemeral } from "./ephemeral.js";
import { job } from "./job.js";
import { mutex } from "./mutex.js";
import { Payloads } from "./payloads.js";
import { queue } from "./queue.js";
import { ratelimit } from "./ratelimit.js";
import { registry } from "./registry.js";
import { scheduler } from "./scheduler.js";
import { topic } from "./topic.js";

const primitives = {
  ratelimit,
  mutex,
  queue,
  topic,
  job,
  scheduler,
  registry,
  ephemeral,
} satisfies { [K in Kind]: unknown } as unknown as Record<Kind, AnyPrimitive>;

/** What an instance is, apart from its state. */
export interface Registration {
  readonly name: InstanceName;
  readonly config: Configs[Kind];
  readonly durability: Durability;
  readonly seed: string;
}

/** Where rows may be damaged. */
export interface RestoreOptions {
  /** Instances that theirs cannot rebuild are left out. */
  skipBroken?: boolean;
  /** Numbers up to this one are not given again. */
  highest?: number;
}

/** The instances of a space, by name and by number. */
export class Instances {
  readonly #byKey = new Map<string, Instance>();
  readonly #payloads: Payloads;
  #nextNumber = 1;

  constructor(payloads: Payloads) {
    this.#payloads = payloads;
  }

  get size(): number {
    return this.#byKey.size;
  }

  all(): Iterable<Instance> {
    return this.#byKey.values();
  }

  /** Tabs that hold something. */
  owners(): Set<string> {
    const owners = new Set<string>();
    for (const { primitive, state } of this.all()) for (const owner of primitive.owners(state)) owners.add(owner);
    return owners;
  }

  find(key: string): Instance | undefined {
    return this.#byKey.get(key);
  }

  add(instance: Instance): void {
    instance.gone = false;
    this.#byKey.set(instance.key, instance);
    this.#nextNumber = Math.max(this.#nextNumber, instance.number + 1);
  }

  /** Numbers up to this one are taken, by rows that say nothing. */
  reserve(number: number): void {
    this.#nextNumber = Math.max(this.#nextNumber, number + 1);
  }

  remove(instance: Instance): void {
    instance.gone = true;
    this.#byKey.delete(instance.key);
  }

  /** Rebuilds every instance, in steps. Returns tabs that hold something. */
  *restore(
    rows: AllRows,
    onRestored: (instance: Instance) => void,
    { skipBroken = false, highest = 0 }: RestoreOptions = {},
  ): Generator<undefined, Set<string>> {
    const byInstance = yield* groupRows(rows);
    this.reserve(highest);
    for (const { key, value } of byInstance.get(0)?.get(registrations.letter) ?? []) {
      let instance: Instance;
      try {
        instance = this.make(value as unknown as Registration, Number(key));
        yield* instance.primitive.restore(instance.state, byInstance.get(instance.number) ?? new Map()) ?? [];
      } catch (error) {
        if (skipBroken) continue;
        throw error;
      }
      this.add(instance);
      onRestored(instance);
    }
    return this.owners();
  }

  /** An instance with empty state, not yet among the others. */
  make({ name, config, durability, seed }: Registration, number = this.#nextNumber++): Instance {
    const primitive = primitives[name.kind];
    return {
      number,
      key: instanceKey(name),
      name,
      primitive,
      seed,
      config,
      durability,
      // What is in memory only has no other place to be.
      state: primitive.create(config as never, seed, name, durability === "memory" ? new Payloads() : this.#payloads),
      changedIn: 0,
      dueAt: Infinity,
      alarmAt: Infinity,
      lanes: new Map(),
      waiters: 0,
      gone: false,
    };
  }
}

/** Registrations as rows of the space itself: the key is the instance's number. */
export const registrations: Table<Instances, Instance, Registration> = {
  letter: "i",
  key: (instance) => instance.number,
  get: (instances, instance) => (instances.find(instance.key) === instance ? registrationOf(instance) : undefined),
  set(instances, instance, value) {
    if (value === undefined) return instances.remove(instance);
    instances.add(instance);
    instance.config = value.config;
    instance.durability = value.durability;
    instance.primitive.configure(instance.state, value.config);
  },
  encode: ({ name, config, durability, seed }) => ({ name: { ...name }, config: { ...config }, durability, seed }),
};

export function registrationOf({ name, config, durability, seed }: Instance): Registration {
  return { name, config, durability, seed };
}

/** Whether opening it like this changes an instance. Throws `CONFLICT` when it cannot be opened like this. */
export function changes(existing: Instance, { name, config, durability }: OpenBody): boolean {
  const fixed = fixedSettings[name.kind].find(
    (field) => readField(existing.config, field) !== readField(config, field),
  );
  if (fixed !== undefined)
    throw conflictError(name, fixed, readField(existing.config, fixed), readField(config, fixed));
  // What of an instance was only in memory cannot be made durable afterwards, unless those who need it tell it again.
  if (!existing.primitive.lasting && (existing.durability === "memory") !== (durability === "memory")) {
    throw conflictError(name, "durability", existing.durability, durability);
  }
  return existing.durability !== durability || JSON.stringify(existing.config) !== JSON.stringify(config);
}

/** What stands for it in a space that keeps nothing: all but the promise that it is on disk. */
export function inMemory(body: OpenBody): OpenBody {
  if (body.durability !== "strict") return { ...body, durability: "memory" };
  throw new TabloomError(
    "UNAVAILABLE",
    `${body.name.kind} "${body.name.id}" is strict, and nothing is kept here (docs/storage.md): make it "relaxed", or give tabloom/memory a store`,
  );
}

function readField(config: Configs[Kind], field: string): unknown {
  return (config as unknown as Record<string, unknown>)[field];
}
