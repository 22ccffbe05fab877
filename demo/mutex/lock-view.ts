import type { LockQuery } from "tabloom";
import { byId, el, setText, showList } from "../page/dom.js";
import { plural, timeOfDay } from "../page/format.js";
import type { Look } from "../space.js";
import { type Neighbour, lookOf, tabHolding } from "../tabs/presence.js";

const SPAN_MS = 40_000;
const MAX_RENEWALS = 5;

const frame = byId("holder", HTMLDivElement);
const left = byId("holder-left", HTMLElement);
const line = byId("mutex-line", HTMLOListElement);
const lanes = byId("spans", HTMLUListElement);
const renewals = byId("renewals", HTMLOListElement);

type Holder = LockQuery["holder"];

/** One lock from grant to end, as this tab saw it. */
interface Span {
  token: number;
  key: string;
  look: Look;
  from: number;
  until: number;
}

const spans: Span[] = [];
let highestToken = 0;

export function showHolder(holder: Holder, ttlMs: number): void {
  const look = holder ? lookOf(holder.by) : undefined;
  frame.style.setProperty("--tab", look?.colour ?? "var(--edge)");
  frame.dataset["held"] = String(holder !== null);
  setText(byId("holder-name", HTMLElement), look ? `held by ${look.name}` : "free");
  setText(byId("holder-token", HTMLElement), holder ? `token ${holder.token}` : "");
  const share = holder ? (holder.expiration - Date.now()) / ttlMs : 0;
  left.style.transform = `scaleX(${Math.min(1, Math.max(0, share))})`;
}

/** The mutex says how many wait; the tabs themselves say which. */
export function showLine(waiting: number, tabs: readonly Neighbour[]): void {
  const known = tabs
    .filter(({ waitingSince }) => waitingSince !== undefined)
    .toSorted((a, b) => a.waitingSince! - b.waitingSince!)
    .slice(0, waiting);
  setText(
    byId("waiting-count", HTMLElement),
    waiting === 0 ? "nobody waits" : plural(waiting, "call waits", "calls wait"),
  );
  showList(line, known, {
    key: ({ page }) => page,
    create: () => el("li", {}, el("i", { class: "dot" }), el("span")),
    update: (chip, { look }) => {
      chip.style.setProperty("--tab", look.colour);
      setText(chip.lastElementChild!, look.name);
    },
  });
}

/** A lane for each tab that held the lock, a bar for each time it did. */
export function showSpans(holder: Holder): void {
  const now = Date.now();
  see(holder, now);
  const tabs = new Set(spans.map(({ key }) => key));
  const perTab = [...tabs].map((tab) => spans.filter(({ key }) => key === tab));
  showList(lanes, perTab, {
    key: ([first]) => first!.key,
    create: () => el("li", {}, el("span", { class: "span-name" }), el("ul", { class: "span-bars" })),
    update: (lane, ofTab) => {
      const { look } = ofTab.at(-1)!;
      lane.style.setProperty("--tab", look.colour);
      setText(lane.firstElementChild!, look.name);
      showList(lane.lastElementChild as HTMLElement, ofTab, {
        key: ({ token }) => String(token),
        create: ({ token }) => el("li", { title: `token ${token}` }),
        update: (bar, span) => place(bar, span, now),
      });
    },
  });
}

function see(holder: Holder, now: number): void {
  while (spans[0] && spans[0].until < now - SPAN_MS) spans.shift();
  if (!holder) return;
  const last = spans.at(-1);
  if (last?.token === holder.token) last.until = now;
  else {
    const key = tabHolding(holder.by)?.page ?? holder.by;
    spans.push({ token: holder.token, key, look: lookOf(holder.by), from: now, until: now });
  }
}

function place(bar: HTMLElement, { from, until }: Span, now: number): void {
  const percent = (at: number): number => 100 * Math.max(0, 1 - (now - at) / SPAN_MS);
  bar.style.left = `${percent(from)}%`;
  bar.style.width = `${percent(until) - percent(from)}%`;
}

/** All tabs read the same order, so all refuse the same. */
export function showRenewal({ from, token }: { from: Look; token: number }, at: number): void {
  const accepted = token >= highestToken;
  highestToken = Math.max(highestToken, token);
  const verdict = accepted ? "renewed" : `refused, ${highestToken} was seen`;
  const entry = el(
    "li",
    { "data-ok": accepted },
    el("i", { class: "dot" }),
    el("b", {}, from.name),
    el("span", { class: "fence" }, String(token)),
    el("span", {}, verdict),
    el("time", {}, timeOfDay(at)),
  );
  entry.style.setProperty("--tab", from.colour);
  renewals.prepend(entry);
  while (renewals.children.length > MAX_RENEWALS) renewals.lastElementChild?.remove();
}
