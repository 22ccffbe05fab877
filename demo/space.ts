import { type OutputOf, type Schema, TabloomError, type Topic, type TopicEventOf, connect } from "tabloom";
import { z } from "zod";

export const backend = connect({
  space: "playground",
  // The package brings a worker of its own; this one can also be killed (hub.ts).
  worker: ({ name }) => new SharedWorker(new URL("./hub.ts", import.meta.url), { type: "module", name }),
});

export const LookSchema = z.object({ name: z.string(), colour: z.string() });

/** How a tab is told apart from the others, by name and colour. */
export type Look = z.infer<typeof LookSchema>;

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

/** For what lives in memory only: a hub that dies may take it along, and nobody here minds that either. */
export function unlessLost(told: Promise<unknown>): void {
  told.catch((error: unknown) => {
    if (!(error instanceof TabloomError)) throw error;
  });
}
