/** A schedule's input is what its job takes. */
import { expectTypeOf } from "vitest";
import { z } from "zod";
import { job, scheduler } from "../../src/memory.js";

const schema = z.object({ at: z.string().transform((text) => new Date(text)) });
const report = job({ id: "report", schema, process: () => 1 });
const nightly = scheduler({ id: "nightly", onMetric: (metric) => expectTypeOf(metric.ts).toEqualTypeOf<number>() });

expectTypeOf(
  nightly.register({ id: "r", cron: "@daily", job: report, input: { at: "2030-01-01" } }),
).resolves.toEqualTypeOf<{ created: boolean; updated: boolean }>();

// @ts-expect-error -- what the schema gives is not what it takes
void nightly.register({ id: "r", cron: "@daily", job: report, input: { at: new Date() } });
// @ts-expect-error -- not a job
void nightly.register({ id: "r", cron: "@daily", job: {}, input: { at: "2030-01-01" } });

void nightly.preview({ id: "r" });
void nightly.preview({ cron: "@daily", tz: "UTC", count: 3 });
// @ts-expect-error -- of what?
void nightly.preview({ count: 3 });

expectTypeOf(nightly.triggerNow({ id: "r" })).resolves.toEqualTypeOf<string>();
