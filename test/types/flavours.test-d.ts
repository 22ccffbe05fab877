/** Every flavour exports the same names with the same types, so that "just change the import" is true. */
import type { Cluster, Redis, RedisOptions } from "ioredis";
import { expectTypeOf } from "vitest";
import type * as hub from "../../src/index.js";
import type * as memory from "../../src/memory.js";
import type * as server from "../../src/server.js";
import type * as worker from "../../src/worker.js";

type Shared<Entry> = Omit<Entry, "connect">;

expectTypeOf<Shared<typeof hub>>().toEqualTypeOf<Shared<typeof memory>>();
expectTypeOf<Shared<typeof server>>().toEqualTypeOf<Shared<typeof memory>>();
expectTypeOf<typeof worker>().toEqualTypeOf<Shared<typeof memory>>();

/** What is connected is a backend everywhere, and may be given to any flavour's handles. */
expectTypeOf<ReturnType<typeof hub.connect>>().toEqualTypeOf<ReturnType<typeof memory.connect>>();
expectTypeOf<ReturnType<typeof server.connect>>().toEqualTypeOf<ReturnType<typeof memory.connect>>();

// Types are not part of `typeof`: each kind's are named here.
expectTypeOf<hub.Mutex>().toEqualTypeOf<memory.Mutex>();
expectTypeOf<hub.RateLimit>().toEqualTypeOf<memory.RateLimit>();
expectTypeOf<hub.Queue<hub.Schema>>().toEqualTypeOf<memory.Queue<memory.Schema>>();
expectTypeOf<hub.Topic<hub.Schema>>().toEqualTypeOf<memory.Topic<memory.Schema>>();
expectTypeOf<hub.Job<hub.Schema, number>>().toEqualTypeOf<memory.Job<memory.Schema, number>>();
expectTypeOf<hub.Scheduler>().toEqualTypeOf<memory.Scheduler>();
expectTypeOf<hub.Registry<hub.Schema>>().toEqualTypeOf<memory.Registry<memory.Schema>>();
expectTypeOf<hub.Ephemeral<hub.Schema>>().toEqualTypeOf<memory.Ephemeral<memory.Schema>>();
expectTypeOf<hub.Inspector>().toEqualTypeOf<memory.Inspector>();
expectTypeOf<worker.Inspector>().toEqualTypeOf<memory.Inspector>();
expectTypeOf<server.Mutex>().toEqualTypeOf<memory.Mutex>();
expectTypeOf<server.RateLimit>().toEqualTypeOf<memory.RateLimit>();
expectTypeOf<server.Queue<server.Schema>>().toEqualTypeOf<memory.Queue<memory.Schema>>();
expectTypeOf<server.Topic<server.Schema>>().toEqualTypeOf<memory.Topic<memory.Schema>>();
expectTypeOf<server.Job<server.Schema, number>>().toEqualTypeOf<memory.Job<memory.Schema, number>>();
expectTypeOf<server.Scheduler>().toEqualTypeOf<memory.Scheduler>();
expectTypeOf<server.Registry<server.Schema>>().toEqualTypeOf<memory.Registry<memory.Schema>>();
expectTypeOf<server.Ephemeral<server.Schema>>().toEqualTypeOf<memory.Ephemeral<memory.Schema>>();
expectTypeOf<server.Inspector>().toEqualTypeOf<memory.Inspector>();

/** Where a server is: whatever ioredis makes is taken. */
expectTypeOf<NonNullable<server.RedisBackendOptions["redis"]>>().toEqualTypeOf<
  string | RedisOptions | Redis | Cluster
>();
