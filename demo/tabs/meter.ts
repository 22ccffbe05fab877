import { count } from "../page/format.js";
import { repeat } from "../page/pace.js";
import { unlessLost } from "../space.js";
import { changeMe, me, tellChanges } from "./presence.js";
import { type Line, pulses } from "./pulses.js";

const PULSE_MS = 500;
/** Samples and single lines per pulse; what is more is counted only. */
const MAX_SAMPLES = 48;
const MAX_LINES = 6;

let calls = 0;
let sent = 0;
let handled = 0;
let failed = 0;
let sendMs: number[] = [];
let handledMs: number[] = [];
let done: Line[] = [];
let lines: Line[] = [];

/** Counts what is asked of the other primitives: only to be seen on the tab's thread. */
export function countCall(): void {
  calls++;
}

/** Counts messages whose `send` (one call for all of them) took `ms`. */
export function countSent(messages: number, ms: number): void {
  sent += messages;
  sample(sendMs, ms, sent);
}

export function countHandled(ms: number, text?: string): void {
  handled++;
  sample(handledMs, ms, handled);
  if (text !== undefined) done.push({ tone: "done", text });
  changeMe({ handled: me.handled + 1 });
}

export function countFailed(line: Line): void {
  failed++;
  lines.push(line);
}

/** Puts a line into the log of every tab. */
export function note(text: string): void {
  lines.push({ tone: "note", text });
}

/** Tells all tabs, twice a second, what this one did. */
export function startMeter(): void {
  void repeat(PULSE_MS, () => {
    tellChanges();
    if (calls + sent + handled + failed + lines.length > 0) tellPulse();
  });
}

function tellPulse(): void {
  const data = { page: me.page, look: me.look, calls, sent, handled, failed, sendMs, handledMs, lines: linesOfPulse() };
  calls = sent = handled = failed = 0;
  sendMs = [];
  handledMs = [];
  done = [];
  lines = [];
  unlessLost(pulses.pub({ data }));
}

function linesOfPulse(): Line[] {
  const many: Line[] = [{ tone: "done", text: `handled ${count(handled)} messages` }];
  const rest = lines.length - MAX_LINES;
  const kept = lines.slice(0, MAX_LINES);
  if (rest > 0) kept.push({ tone: "note", text: `and ${count(rest)} more lines like these` });
  return [...(done.length > MAX_LINES || handled > done.length ? many : done), ...kept];
}

/** Keeps a fair choice of all that came (reservoir sampling). */
function sample(samples: number[], value: number, seen: number): void {
  if (samples.length < MAX_SAMPLES) samples.push(value);
  else if (Math.random() < MAX_SAMPLES / seen) samples[Math.floor(Math.random() * MAX_SAMPLES)] = value;
}
