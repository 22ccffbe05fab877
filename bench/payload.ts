import { z } from "zod";

/** What every benchmark sends: 100 bytes as JSON when `i` has five digits. */
export const payload = z.object({ i: z.number(), text: z.string() });

const TEXT = "tabloom ".repeat(125);
/** Of JSON around the text. */
const REST = 21;

/** `bytes`: at least 100, at most 1,000. */
export function makePayload(i: number, bytes = 100): z.infer<typeof payload> {
  return { i: 10_000 + i, text: TEXT.slice(0, bytes - REST) };
}
