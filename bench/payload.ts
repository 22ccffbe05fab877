import { z } from "zod";

/** What every benchmark sends: 100 bytes as JSON when `i` has five digits. */
export const payload = z.object({ i: z.number(), text: z.string() });

const TEXT = "tabloom ".repeat(10).slice(0, 79);

export function makePayload(i: number): z.infer<typeof payload> {
  return { i: 10_000 + i, text: TEXT };
}
