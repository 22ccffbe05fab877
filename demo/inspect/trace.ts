import type { Inspector, TraceEntry } from "tabloom";
import { byId, el } from "../page/dom.js";
import { timeOfDay } from "../page/format.js";
import { repeatWhileVisible } from "../page/pace.js";
import { lookOf } from "../tabs/presence.js";

const DRAW_MS = 200;
const MAX_LINES = 120;
/** What this page asks all the time, to draw itself. */
const READS =
  /^(instance|space)\.|\.(stats|peek|query|get|list|snapshot|info|read|anchor|next|dead|preview)|ratelimit\.check/;
const OWN = new Set(["pulses", "tabs", "cursors"]);

const lines = byId("trace", HTMLOListElement);
const withReads = byId("trace-reads", HTMLInputElement);
const following = byId("trace-on", HTMLInputElement);
/** Drawn some at a time: a burst is thousands a second. */
let fresh: TraceEntry[] = [];
let stop = new AbortController();

export function showTrace(inspector: Inspector): void {
  following.addEventListener("input", () => {
    stop.abort();
    if (following.checked) void follow(inspector);
  });
  repeatWhileVisible(DRAW_MS, draw);
}

async function follow(inspector: Inspector): Promise<void> {
  stop = new AbortController();
  for await (const entry of inspector.trace({ signal: stop.signal })) {
    if (withReads.checked || !isChatter(entry)) fresh.push(entry);
  }
}

function isChatter(entry: TraceEntry): boolean {
  return OWN.has(entry.instance.id) || (entry.type === "command" && READS.test(entry.op));
}

function draw(): void {
  const shown = fresh.slice(-MAX_LINES);
  fresh = [];
  lines.prepend(...shown.toReversed().map(lineOf));
  while (lines.children.length > MAX_LINES) lines.lastElementChild?.remove();
}

function lineOf(entry: TraceEntry): HTMLElement {
  const { at, instance } = entry;
  const line = el("li", { "data-type": entry.type }, el("i", { class: "dot" }));
  const where = el("span", { class: "trace-where" }, instance.id);
  if (entry.type === "command") {
    line.style.setProperty("--tab", lookOf(entry.by).colour);
    line.title = `${lookOf(entry.by).name}: ${JSON.stringify(entry.body)}`;
    line.append(el("b", {}, entry.op), where);
    if (entry.outcome !== "ok") line.append(el("em", {}, entry.outcome));
  } else {
    line.title = JSON.stringify(entry.event);
    line.append(el("b", {}, typeOf(entry.event)), where);
  }
  line.append(el("time", {}, timeOfDay(at)));
  return line;
}

/** Events of one kind are told apart inside: a job's step, an entry's expiry. */
function typeOf(event: (TraceEntry & { type: "event" })["event"]): string {
  const { type, event: inner } = event as { type: string; event?: { type?: string } };
  return inner?.type === undefined ? type : `${type.split(".")[0]} ${inner.type}`;
}
