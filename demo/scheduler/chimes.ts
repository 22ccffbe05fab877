import { z } from "zod";

const ChimeSchema = z.object({ schedule: z.string() });

/** Which schedule a run belongs to, of an input as it is stored. */
export function readChime(input: unknown): string {
  return ChimeSchema.safeParse(input).data?.schedule ?? "a schedule";
}

/** The job behind the schedules. It runs in the hub (hub.ts), so also with all tabs hidden. */
export const CHIMES = {
  id: "chimes",
  schema: ChimeSchema,
  retentionCount: 40,
} as const;

export const SCHEDULER_ID = "clock";
