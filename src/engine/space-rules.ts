import type { InstanceName, Kind, Reply } from "../protocol/commands.js";
import type { Json } from "../protocol/json.js";
import { instanceKey } from "../protocol/names.js";
import type { Instance } from "./instance.js";
import type { Instances } from "./instances.js";
import type { AnyPrimitive, Context, Rule } from "./primitive.js";

const rules = {
  "space.instances": {
    run: (instances: Instances, _: unknown, ctx: Context): Reply<"space.instances"> =>
      Array.from(instances.all(), (instance) => ({
        name: instance.name,
        config: instance.config,
        durability: instance.durability,
        stats: statsOf(instance, ctx),
      })),
  },
  "space.peek": {
    run(instances: Instances, { name, limit }: { name: InstanceName; limit: number }, ctx: Context): Json[] {
      const instance = instances.find(instanceKey(name));
      return instance?.primitive.peek(instance.state, limit, ctx) ?? [];
    },
  },
};

/** The space as an instance of itself: instance 0, whose state is the other instances. */
export function rootInstance(instances: Instances): Instance {
  return {
    number: 0,
    key: "",
    name: { prefix: "", kind: "queue", tenantId: "", id: "" },
    seed: "",
    primitive: { dueAt: () => Infinity, rules } as unknown as AnyPrimitive,
    state: instances,
    config: {} as never,
    durability: "relaxed",
    changedIn: 0,
    dueAt: Infinity,
    alarmAt: Infinity,
    lanes: new Map(),
    waiters: 0,
    gone: false,
  };
}

function statsOf({ primitive, name, state, waiters }: Instance, ctx: Context): Json {
  const stats = (primitive.rules as unknown as Record<string, Rule<unknown, `${Kind}.stats`>>)[`${name.kind}.stats`]!;
  const looking: Context = {
    now: ctx.now,
    owner: "",
    waiters,
    waiting: () => 0,
    has: refuse,
    put: refuse,
    emit: refuse,
    attachments: [],
    call: refuse,
  };
  return stats.run(state, {}, looking) as unknown as Json;
}

function refuse(): never {
  throw new Error("who looks changes nothing");
}
