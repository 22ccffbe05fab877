import { topic } from "tabloom";
import { z } from "zod";
import { LookSchema } from "../space.js";

const PulseSchema = z.object({
  page: z.string(),
  look: LookSchema,
  /** What it asked of the other primitives. */
  calls: z.number(),
  sent: z.number(),
  handled: z.number(),
  failed: z.number(),
  /** Samples of the round trip of `send`, and of the time from there to handled. */
  sendMs: z.array(z.number()),
  handledMs: z.array(z.number()),
  lines: z.array(z.object({ tone: z.enum(["done", "retry", "bad", "note"]), text: z.string() })),
});
export type Pulse = z.infer<typeof PulseSchema>;
export type Line = Pulse["lines"][number];

/** What each tab did, twice a second: the log and the charts of every tab are made from it. */
export const pulses = topic({ id: "pulses", schema: PulseSchema, durability: "memory", maxLen: 600 });
