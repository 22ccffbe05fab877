import { byId, el } from "../page/dom.js";
import { timeOfDay } from "../page/format.js";
import { type Look, follow } from "../space.js";
import { type Line, pulses } from "../tabs/pulses.js";

const MAX_SHOWN = 80;
const log = byId("log", HTMLOListElement);

/** What all tabs did, newest first; a tab that comes later reads what happened before. */
export function showActivity(): void {
  void follow(pulses, "0-0", ({ data: { look, lines }, publishedAt }) => {
    for (const line of lines) show(line, look, publishedAt);
  });
}

function show({ tone, text }: Line, { name, colour }: Look, at: number): void {
  const line = el(
    "li",
    { "data-tone": tone },
    el("i", { class: "dot" }),
    el("p", {}, el("b", {}, name), ` ${text}`),
    el("time", {}, timeOfDay(at)),
  );
  line.style.setProperty("--tab", colour);
  log.prepend(line);
  while (log.children.length > MAX_SHOWN) log.lastElementChild?.remove();
}
