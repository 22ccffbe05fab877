import { job } from "tabloom";
import { z } from "zod";
import { rest } from "../page/pace.js";
import { LookSchema } from "../space.js";
import { countCall } from "../tabs/meter.js";
import { changeMe, me } from "../tabs/presence.js";

export const STEPS = ["collect", "render", "publish"] as const;
const STEP_MS = 2500;
const TICKS = 10;
const SLEEP_MS = 8000;

export const FATES = ["succeeds", "fails-once", "hopeless"] as const;

const ReportSchema = z.object({
  /** Short name for people. */
  code: z.string(),
  from: LookSchema,
  fate: z.enum(FATES),
  sleeps: z.boolean(),
});
export type Report = z.infer<typeof ReportSchema>;

/** Inputs and progress come as they are stored. */
export function readReport(value: unknown): Report | undefined {
  return ReportSchema.safeParse(value).data;
}

/** Of each step that was begun: the tab that did it, and how far. */
const ProgressSchema = z.array(z.object({ by: LookSchema, share: z.number() }));
export type Progress = z.infer<typeof ProgressSchema>;

export function readProgress(value: unknown): Progress {
  return ProgressSchema.safeParse(value).data ?? [];
}

/** Three steps of 2.5 s. Any tab runs it; if that tab dies, another goes on after the last finished step. */
export const reports = job({
  id: "reports",
  schema: ReportSchema,
  defaults: { maxAttempts: 3, backoff: { kind: "exp", baseMs: 1500 }, leaseMs: 10_000 },
  retentionCount: 40,
  process: async ({ ctx, input }) => {
    const done: Progress = [];
    for (const [index, id] of STEPS.entries()) {
      if (input.sleeps && index === 2) await ctx.sleep(SLEEP_MS, { id: "a-while" });
      if (index === 1 && (input.fate === "hopeless" || (input.fate === "fails-once" && ctx.attempt === 1))) {
        throw new Error("the printer is on fire");
      }
      const by = await ctx.step({
        id,
        run: async () => {
          for (let tick = 1; tick <= TICKS; tick++) {
            await rest(STEP_MS / TICKS);
            ctx.signal.throwIfAborted();
            await ctx.progress([...done, { by: me.look, share: tick / TICKS }]);
          }
          countCall();
          changeMe({ handled: me.handled + 1 });
          return me.look;
        },
      });
      done.push({ by, share: 1 });
    }
    return done.map(({ by }) => by.name);
  },
});
