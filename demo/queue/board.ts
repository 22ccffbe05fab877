import type { QueuePeek } from "tabloom";
import { byId, el, setText, showList } from "../page/dom.js";
import { count, plural } from "../page/format.js";
import type { Look } from "../space.js";
import { lookOf, me, tabHolding, tabsInTouch } from "../tabs/presence.js";
import { LEASE_MS, type Task } from "./tasks.js";

/** A message of the queue, as `peek` shows it. */
export interface Seen extends Omit<QueuePeek, "data"> {
  task: Task;
}

interface Lane {
  key: string;
  look: Look;
  mine: boolean;
  idle: string;
  held: Seen[];
}

/** With more tabs, only those that do something are shown. */
const MAX_IDLE_LANES = 6;
/** More than fit into a row. */
const SHOWN_PER_LANE = 8;
const SHOWN_DELAYED = 16;

const lanes = byId("lanes", HTMLUListElement);
const beads = byId("waiting", HTMLDivElement);
const delayedList = byId("delayed", HTMLUListElement);

/** What is in flight: a lane for each tab, and one for each holder that has not been heard of yet. */
export function showLanes(leased: readonly Seen[]): void {
  const shown = new Map<string, Lane>();
  const tabs = tabsInTouch();
  for (const { page, look, working } of tabs) {
    const mine = page === me.page;
    const busy = leased.some(({ by }) => tabHolding(by)?.page === page);
    if (tabs.length > MAX_IDLE_LANES && !mine && !busy) continue;
    shown.set(page, { key: page, look, mine, idle: working ? "idle" : "not working", held: [] });
  }
  for (const seen of leased) {
    const key = tabHolding(seen.by)?.page ?? seen.by ?? "";
    const lane = shown.get(key) ?? { key, look: lookOf(seen.by), mine: false, idle: "", held: [] };
    lane.held.push(seen);
    shown.set(key, lane);
  }
  showList(lanes, [...shown.values()], { key: ({ key }) => key, create: createLane, update: updateLane });
}

function createLane(): HTMLElement {
  const name = el("span", { class: "lane-name" }, el("i", { class: "dot" }), el("span"));
  return el("li", { class: "lane" }, name, el("ul", { class: "chips row" }), el("small", { class: "muted" }));
}

function updateLane(lane: HTMLElement, { look, mine, idle, held }: Lane): void {
  lane.style.setProperty("--tab", look.colour);
  const [name, chips, total] = [lane.children[0]!, lane.children[1]!, lane.children[2]!];
  setText(name.lastElementChild!, mine ? `${look.name} (you)` : look.name);
  if (chips instanceof HTMLElement) {
    showList(chips, held.slice(0, SHOWN_PER_LANE), { key: keyOf, create: createLease, update: updateLease });
  }
  setText(total, held.length > 0 ? count(held.length) : idle);
}

function createLease({ task }: Seen): HTMLElement {
  const label = el("span", { class: "lease-label" }, el("b", {}, task.code), el("span"));
  return el("li", { class: "lease" }, label, el("span", { class: "lease-bar" }, el("i")));
}

function updateLease(chip: HTMLElement, seen: Seen): void {
  const left = Math.max(0, (seen.untilAt ?? 0) - Date.now());
  const bar = chip.lastElementChild?.firstElementChild;
  if (bar instanceof HTMLElement) bar.style.transform = `scaleX(${Math.min(1, left / LEASE_MS)})`;
  setText(chip.firstElementChild!.lastElementChild!, attemptOf(seen) + `${(left / 1000).toFixed(1)} s`);
  chip.title = describe(seen);
}

/** What waits, a bead for each message in the order in which they will be handed out. */
export function showBeads(ready: readonly Seen[], total: number): void {
  while (beads.children.length > ready.length) beads.lastElementChild?.remove();
  while (beads.children.length < ready.length) beads.append(el("i", { class: "bead" }));
  for (const [index, seen] of ready.entries()) {
    const bead = beads.children[index];
    if (!(bead instanceof HTMLElement)) continue;
    bead.style.setProperty("--tab", seen.task.from.colour);
    bead.dataset["outcome"] = seen.task.outcome;
    bead.title = describe(seen);
  }
  const legend = "coloured by sender; rings fail at first, crosses are poison";
  setText(byId("waiting-note", HTMLElement), total === 0 ? "nothing: send some work" : legend);
}

export function showDelayed(delayed: readonly Seen[], total: number): void {
  delayedList.classList.toggle("empty", total === 0);
  showList(delayedList, delayed.slice(0, SHOWN_DELAYED), { key: keyOf, create: createDelayed, update: updateDelayed });
  const shown = Math.min(delayed.length, SHOWN_DELAYED);
  // `peek` looks at what waits first, so a long line hides what is delayed.
  const rest = shown > 0 ? `and ${count(total - shown)} more` : plural(total, "message");
  delayedList.dataset["more"] = total > shown ? rest : "";
}

function createDelayed({ task }: Seen): HTMLElement {
  const chip = el("li", { class: "lease" }, el("span", { class: "lease-label" }, el("b", {}, task.code), el("span")));
  chip.style.setProperty("--tab", task.from.colour);
  return chip;
}

function updateDelayed(chip: HTMLElement, seen: Seen): void {
  const left = Math.max(0, (seen.untilAt ?? 0) - Date.now());
  setText(chip.firstElementChild!.lastElementChild!, attemptOf(seen) + `in ${(left / 1000).toFixed(1)} s`);
  chip.title = describe(seen);
}

const keyOf = ({ messageId, attempt }: Seen): string => `${messageId}/${attempt}`;
const attemptOf = ({ attempt, at }: Seen): string => {
  const next = at === "leased" ? attempt : attempt + 1;
  return next > 1 ? `try ${next} · ` : "";
};

function describe({ task, priority, attempt, orderingKey }: Seen): string {
  const parts = [`${task.code} from ${task.from.name}`, `priority ${priority}`, `claimed ${attempt}×`];
  if (orderingKey !== undefined) parts.push(`ordering key ${orderingKey}`);
  if (task.outcome !== "succeeds") parts.push(task.outcome === "poison" ? "poison" : "fails at first");
  return parts.join(", ");
}
