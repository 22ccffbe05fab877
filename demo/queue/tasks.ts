import { queue } from "tabloom";
import { z } from "zod";
import { LookSchema } from "../space.js";

export const OUTCOMES = ["succeeds", "fails-first", "poison"] as const;

const TaskSchema = z.object({
  /** Short name for people: "T12" is the twelfth of Teal Otter. */
  code: z.string(),
  outcome: z.enum(OUTCOMES),
  from: LookSchema,
  /** When it may first be handled: epoch milliseconds, with the delay. */
  readyAt: z.number(),
});
export type Task = z.infer<typeof TaskSchema>;

/** Peeks and dead letters come as they are stored. */
export function readTask(value: unknown): Task | undefined {
  return TaskSchema.safeParse(value).data;
}

export const LEASE_MS = 6000;
export const MAX_DELIVERIES = 4;

/** The work that all tabs share. */
export const tasks = queue({
  id: "tasks",
  schema: TaskSchema,
  ordering: { mode: "ordering_key_partitioned" },
  delivery: { defaultLeaseMs: LEASE_MS, maxDeliveries: MAX_DELIVERIES },
});
