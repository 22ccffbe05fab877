import type { TraceEntry } from "../protocol/commands.js";
import { TabloomError } from "../protocol/errors.js";
import type { Json } from "../protocol/json.js";
import { parseInstanceKey } from "../protocol/names.js";
import type { Announced, Outcome, Settled } from "./call.js";

/** What those hear who follow the space's trace: the commands that were answered, the events that were announced. */
export function traceOf(settled: readonly Settled[], announced: readonly Announced[], at: number): Announced[] {
  const commands = settled
    .filter(({ call }) => call.instance.number > 0)
    .map(({ call: { instance, op, body, owner }, outcome }): TraceEntry => ({
      type: "command",
      at,
      instance: instance.name,
      op,
      body: body as unknown as Json,
      by: owner,
      outcome: outcomeOf(outcome),
    }));
  const events = announced.map(({ event }): TraceEntry => ({
    type: "event",
    at,
    instance: parseInstanceKey(event.instance),
    event: event.event as unknown as Json,
  }));
  return [...commands, ...events].map((entry) => ({
    event: { instance: "", n: 0, event: { type: "space.traced", entry } },
    turn: 0,
  }));
}

function outcomeOf(outcome: Outcome): string {
  if (outcome.ok) return "ok";
  return outcome.error instanceof TabloomError ? outcome.error.code : String(outcome.error);
}
