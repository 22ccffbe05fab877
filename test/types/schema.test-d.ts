/** What is inferred from a schema: its input for what is written, its output for what is read, `any` for nothing. */
import * as v from "valibot";
import { expectTypeOf } from "vitest";
import { z } from "zod";
import * as memory from "../../src/memory.js";
import type * as index from "../../src/index.js";
import type {
  Backend,
  DeadLetter,
  InputOf,
  OutputOf,
  Published,
  Queue,
  QueuePeek,
  QueueStats,
  Received,
  Schema,
  Sent,
  Topic,
  TopicEventOf,
  TopicReceived,
  TopicStats,
} from "../../src/memory.js";

const { queue, topic, retry } = memory;

const zodSchema = z.object({ at: z.string().transform((text) => new Date(text)), size: z.number().default(1) });
interface Input {
  at: string;
  size?: number | undefined;
}
interface Output {
  at: Date;
  size: number;
}

const valibotSchema = v.object({
  at: v.pipe(
    v.string(),
    v.transform((text) => new Date(text)),
  ),
  size: v.optional(v.number(), 1),
});

expectTypeOf<InputOf<typeof zodSchema>>().toEqualTypeOf<Input>();
expectTypeOf<OutputOf<typeof zodSchema>>().toEqualTypeOf<Output>();
expectTypeOf<InputOf<typeof valibotSchema>>().toEqualTypeOf<Input>();
expectTypeOf<OutputOf<typeof valibotSchema>>().toEqualTypeOf<Output>();

// --- queue ------------------------------------------------------------------------------------------------------------

const jobs = queue({ id: "jobs", schema: zodSchema });
expectTypeOf(jobs).toEqualTypeOf<Queue<typeof zodSchema>>();
expectTypeOf(jobs.send).parameter(0).toHaveProperty("data").toEqualTypeOf<Input>();
expectTypeOf(jobs.send).returns.resolves.toEqualTypeOf<Sent>();
expectTypeOf(jobs.sendMany).parameter(0).items.toHaveProperty("data").toEqualTypeOf<Input>();
expectTypeOf(jobs.sendMany).parameter(0).items.not.toHaveProperty("tenantId");
expectTypeOf(jobs.sendMany).returns.resolves.toEqualTypeOf<Sent[]>();
expectTypeOf(jobs.recv).returns.resolves.toEqualTypeOf<Received<Output> | null>();
expectTypeOf(jobs.recvMany).returns.resolves.toEqualTypeOf<Received<Output>[]>();
expectTypeOf(jobs.stream).returns.toEqualTypeOf<AsyncIterableIterator<Received<Output>>>();
expectTypeOf(jobs.reader().recv).toEqualTypeOf<typeof jobs.recv>();
expectTypeOf(jobs.reader().stream).toEqualTypeOf<typeof jobs.stream>();
expectTypeOf(jobs.stats).returns.resolves.toEqualTypeOf<QueueStats>();
expectTypeOf(jobs.peek).returns.resolves.toEqualTypeOf<QueuePeek[]>();
expectTypeOf(jobs.dlq.list).returns.resolves.toEqualTypeOf<{ entries: DeadLetter[]; next?: string }>();
expectTypeOf(jobs).toExtend<AsyncDisposable>();

const message = {} as Received<Output>;
expectTypeOf(message.data).toEqualTypeOf<Output>();
expectTypeOf(message.ack).returns.resolves.toEqualTypeOf<boolean>();
expectTypeOf(message.meta).toBeUnknown();
expectTypeOf<DeadLetter["data"]>().toBeUnknown();

// @ts-expect-error: the output type is not what is written
void jobs.send({ data: { at: new Date(), size: 1 } });
// @ts-expect-error: data is required
void jobs.send({});
// @ts-expect-error: a batch has one tenant
void jobs.sendMany([{ data: { at: "" }, tenantId: "t" }]);
// @ts-expect-error: max is required
void jobs.recvMany({});
// @ts-expect-error: a schema is required
queue({ id: "x" });
// @ts-expect-error: no such mode
queue({ id: "x", schema: zodSchema, ordering: { mode: "random" } });

// --- topic ------------------------------------------------------------------------------------------------------------

const orders = topic({ id: "orders", schema: valibotSchema });
expectTypeOf(orders).toEqualTypeOf<Topic<typeof valibotSchema>>();
expectTypeOf(orders.pub).parameter(0).toHaveProperty("data").toEqualTypeOf<Input>();
expectTypeOf(orders.pub).returns.resolves.toEqualTypeOf<Published>();
expectTypeOf(orders.pubMany).parameter(0).items.toHaveProperty("data").toEqualTypeOf<Input>();
expectTypeOf(orders.live).returns.toEqualTypeOf<AsyncIterableIterator<TopicEventOf<Output>>>();
expectTypeOf(orders.reader().recv).returns.resolves.toEqualTypeOf<TopicReceived<Output> | null>();
expectTypeOf(orders.reader().stream).returns.toEqualTypeOf<AsyncIterableIterator<TopicReceived<Output>>>();
expectTypeOf(orders.reader().reclaim).returns.resolves.toEqualTypeOf<TopicReceived<Output>[]>();
expectTypeOf(orders.latestCursor).returns.resolves.toEqualTypeOf<string>();
expectTypeOf(orders.stats).returns.resolves.toEqualTypeOf<TopicStats>();
expectTypeOf(orders.reader()).toExtend<AsyncDisposable>();
expectTypeOf(orders).toExtend<AsyncDisposable>();
expectTypeOf<TopicEventOf<Output>["data"]>().toEqualTypeOf<Output>();
// @ts-expect-error: a listener commits nothing
void ({} as TopicEventOf<Output>).commit;

// --- no any -----------------------------------------------------------------------------------------------------------

expectTypeOf(message.data).not.toBeAny();
expectTypeOf(message.meta).not.toBeAny();
const untyped = queue({ id: "u", schema: {} as Schema });
expectTypeOf(untyped.recv).returns.resolves.toEqualTypeOf<Received<unknown> | null>();
const handMade = queue({ id: "h", schema: {} as Schema<string, number> });
expectTypeOf(handMade.send).parameter(0).toHaveProperty("data").toEqualTypeOf<string>();
expectTypeOf(handMade.recv).returns.resolves.toEqualTypeOf<Received<number> | null>();
const plainJson = queue({ id: "p", schema: z.unknown() });
expectTypeOf(plainJson.recv).returns.resolves.toEqualTypeOf<Received<unknown> | null>();

// --- retry ------------------------------------------------------------------------------------------------------------

expectTypeOf(retry((attempt) => attempt)).resolves.toEqualTypeOf<number>();
expectTypeOf(retry(() => Promise.resolve("text"))).resolves.toEqualTypeOf<string>();

// --- every entry has the same names with the same types -----------------------------------------------------------------

type Shared<Entry> = Omit<Entry, "connect">;
expectTypeOf<Shared<typeof index>>().toEqualTypeOf<Shared<typeof memory>>();
expectTypeOf<ReturnType<typeof index.connect>>().toEqualTypeOf<Backend>();
expectTypeOf<ReturnType<typeof memory.connect>>().toEqualTypeOf<Backend>();
