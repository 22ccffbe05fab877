import type { RateLimitResult } from "tabloom";
import { el, setText } from "../page/dom.js";
import { count } from "../page/format.js";
import type { Look } from "../space.js";

const MAX_DOTS = 72;

/** The meter of one limit, and what came of the last calls of all tabs. */
export interface LimitView {
  card: HTMLElement;
  show(now: RateLimitResult): void;
  add(from: Look, cost: number, passed: boolean): void;
}

export function createLimitView(title: string, limit: number, about: string): LimitView {
  const remaining = el("strong", { class: "big" }, "–");
  const resetIn = el("small", { class: "muted" });
  const cells = Array.from({ length: limit }, () => el("i"));
  const dots = el("div", { class: "beads verdicts", "aria-hidden": true });
  const card = el(
    "div",
    { class: "card" },
    el("h3", {}, title),
    el("p", { class: "hint" }, about),
    el("div", { class: "left" }, remaining, el("span", {}, `of ${limit} left`), resetIn),
    el("div", { class: "cells", "aria-hidden": true }, ...cells),
    el("h4", {}, "The last calls ", el("small", {}, "rings were limited")),
    dots,
  );
  return {
    card,
    show(now) {
      setText(remaining, count(now.remaining));
      setText(resetIn, now.resetIn > 0 ? `${(now.resetIn / 1000).toFixed(1)} s` : "");
      for (const [index, cell] of cells.entries()) cell.dataset["free"] = String(index < now.remaining);
    },
    add(from, cost, passed) {
      const dot = el("i", { class: "bead", "data-passed": passed, title: `${from.name}, cost ${cost}` });
      dot.style.setProperty("--tab", from.colour);
      dot.style.setProperty("--cost", String(cost));
      dots.append(dot);
      while (dots.children.length > MAX_DOTS) dots.firstElementChild?.remove();
    },
  };
}
