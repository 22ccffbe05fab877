import { type Schema, type Topic, type TopicEventOf, type OutputOf, connect, queue, topic } from "tabloom";
import { z } from "zod";

export const backend = connect({
  space: "playground",
  // The package brings a worker of its own; this one can also be killed (hub.ts).
  worker: ({ name }) => new SharedWorker(new URL("./hub.ts", import.meta.url), { type: "module", name }),
});

const LookSchema = z.object({ name: z.string(), colour: z.string() });

export const OUTCOMES = ["succeeds", "fails-first", "poison"] as const;
export type Outcome = (typeof OUTCOMES)[number];

const JobSchema = z.object({
  /** Short name for people: "T12" is the twelfth of Teal Otter. */
  code: z.string(),
  outcome: z.enum(OUTCOMES),
  from: LookSchema,
  /** When it may first be handled: epoch milliseconds, with the delay. */
  readyAt: z.number(),
});
export type Job = z.infer<typeof JobSchema>;

/** Peeks and dead letters come as they are stored. */
export function readJob(value: unknown): Job | undefined {
  return JobSchema.safeParse(value).data;
}

export const LEASE_MS = 6000;
export const MAX_DELIVERIES = 4;

/** The work that all tabs share. */
export const jobs = queue({
  id: "jobs",
  schema: JobSchema,
  ordering: { mode: "ordering_key_partitioned" },
  delivery: { defaultLeaseMs: LEASE_MS, maxDeliveries: MAX_DELIVERIES },
});

/** For measuring: nobody but the burst itself takes from it. */
export const bursts = queue({ id: "bursts", schema: z.object({ n: z.number(), sentAt: z.number() }) });

/** What people write. Kept for seven days. */
export const messages = topic({
  id: "messages",
  schema: z.object({ from: LookSchema, text: z.string().min(1).max(280) }),
  maxLen: 500,
});

const PresenceSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("who") }),
  z.object({ kind: z.literal("bye"), page: z.string() }),
  z.object({
    kind: z.literal("here"),
    page: z.string(),
    since: z.number(),
    look: LookSchema,
    working: z.boolean(),
    handled: z.number(),
    /** Under which name the hub knows this tab, once that was seen. */
    holder: z.string().optional(),
  }),
]);
export type Presence = z.infer<typeof PresenceSchema>;
export type Here = Extract<Presence, { kind: "here" }>;

/** Which tabs are there. Not worth a disk: it dies with the hub, and the tabs then say it again. */
export const presence = topic({ id: "presence", schema: PresenceSchema, durability: "memory", maxLen: 200 });

const PulseSchema = z.object({
  page: z.string(),
  look: LookSchema,
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

/**
 * Hears a topic for as long as the page lives. One that lives in memory begins anew with each hub, which is a gap:
 * nobody here minds.
 */
export async function follow<S extends Schema>(
  source: Topic<S>,
  after: "$" | "0-0",
  hear: (event: TopicEventOf<OutputOf<S>>) => void,
): Promise<void> {
  for await (const event of source.live({ after, onGap: "continue" })) hear(event);
}
