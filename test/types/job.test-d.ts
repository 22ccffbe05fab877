/** What a job's handler, callers and listeners are given. */
import { expectTypeOf } from "vitest";
import { z } from "zod";
import {
  type Job,
  type JobContext,
  type JobEventItem,
  type JobEventOf,
  type JobInfo,
  type JobOutcomeOf,
  type JobStats,
  type Schema,
  type Submitted,
  job,
} from "../../src/memory.js";

const schema = z.object({ at: z.string().transform((text) => new Date(text)), size: z.number().default(1) });

const dated = job({
  id: "dated",
  schema,
  async process({ ctx, input }) {
    expectTypeOf(ctx).toEqualTypeOf<JobContext>();
    expectTypeOf(input).toEqualTypeOf<{ at: Date; size: number }>();
    const step = await ctx.step({ id: "s", run: () => ({ at: input.at, map: new Map([[1, 2]]) }) });
    expectTypeOf(step).toEqualTypeOf<{ at: string; map: Record<string, never> }>();
    expectTypeOf(await ctx.step({ id: "t", run: async () => 5 })).toEqualTypeOf<number>();
    expectTypeOf(await ctx.step({ id: "u", run: () => {} })).toEqualTypeOf<undefined>();
    expectTypeOf(ctx.meta).toBeUnknown();
    return { done: input.at, size: input.size };
  },
});
expectTypeOf(dated).toEqualTypeOf<Job<typeof schema, { done: Date; size: number }>>();
expectTypeOf(dated.submit)
  .parameter(0)
  .toHaveProperty("input")
  .toEqualTypeOf<{ at: string; size?: number | undefined }>();
expectTypeOf(dated.submit).returns.resolves.toEqualTypeOf<string>();
expectTypeOf(dated.submitMany).returns.resolves.toEqualTypeOf<Submitted[]>();
expectTypeOf(dated.join).returns.resolves.toEqualTypeOf<JobOutcomeOf<{ done: string; size: number }>>();
expectTypeOf(dated.get).returns.resolves.toEqualTypeOf<JobInfo<{ done: string; size: number }> | null>();
expectTypeOf(dated.events("id").live).returns.toEqualTypeOf<AsyncIterableIterator<JobEventItem>>();
expectTypeOf<JobEventItem["data"]>().toEqualTypeOf<JobEventOf>();
expectTypeOf<Extract<JobEventOf, { type: "progress" }>["value"]>().toBeUnknown();
expectTypeOf(dated.stats).returns.resolves.toEqualTypeOf<JobStats>();
expectTypeOf(dated.stop).returns.resolves.toEqualTypeOf<{ abandoned: number }>();
expectTypeOf(dated).toExtend<AsyncDisposable>();

// @ts-expect-error: the output type is not what is submitted
void dated.submit({ input: { at: new Date() } });
// @ts-expect-error: a batch has one tenant
void dated.submitMany([{ input: { at: "" }, tenantId: "t" }]);
// @ts-expect-error: no such kind
void dated.submit({ input: { at: "" }, backoff: { kind: "linear", baseMs: 1 } });
// @ts-expect-error: a handler is required
job({ id: "x", schema });

const checked = job({
  id: "checked",
  schema: z.string(),
  resultSchema: z.object({ n: z.number() }),
  process: ({ input }) => ({ n: input.length }),
});
expectTypeOf(checked.join).returns.resolves.toEqualTypeOf<JobOutcomeOf<{ n: number }>>();
const unchecked = { id: "unchecked", schema: z.string(), process: () => ({ n: "text" }) };
// @ts-expect-error: the result is not what resultSchema takes
job({ ...unchecked, resultSchema: z.object({ n: z.number() }) });

const silent = job({ id: "silent", schema: z.string(), process: () => {} });
expectTypeOf(silent.join).returns.resolves.toEqualTypeOf<JobOutcomeOf<undefined>>();
const anything = job({ id: "any", schema: {} as Schema, process: ({ input }) => input });
expectTypeOf(anything.join).returns.resolves.toEqualTypeOf<JobOutcomeOf<unknown>>();
