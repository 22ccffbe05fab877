import { byId, el, setText, showList } from "../page/dom.js";
import { count } from "../page/format.js";
import { type Neighbour, me, onTabs, tabsInTouch } from "./presence.js";
import { runThread, tieThreads } from "./threads.js";
import { type Look, follow } from "../space.js";
import { pulses } from "./pulses.js";

const chips = byId("tabs", HTMLUListElement);
const ghost = byId("ghost", HTMLAnchorElement);
let worn: Look | undefined;

/** The row of tabs, each tied to the hub by a thread on which its messages run. */
export function showTabs(): void {
  byId("open-beside", HTMLButtonElement).addEventListener("click", openBeside);
  onTabs(drawTabs);
  drawTabs();
  void follow(pulses, "$", ({ data }) => {
    if (document.visibilityState !== "visible") return;
    const chip = chips.querySelector(`[data-key="${data.page}"]`);
    if (!(chip instanceof HTMLElement)) return;
    runThread(chip, data.look.colour, { sent: data.calls + data.sent, handled: data.handled + data.failed });
  });
}

function drawTabs(): void {
  wearLook(me.look);
  const tabs = tabsInTouch();
  const shown: readonly Neighbour[] = tabs.length > 0 ? tabs : [{ ...me, quiet: false }];
  showList(chips, shown, { key: ({ page }) => page, create: createChip, update: updateChip });
  ghost.hidden = shown.length > 1;
  tieThreads(
    [...chips.children].filter((chip) => chip instanceof HTMLElement),
    new Map(shown.map(({ page, look }) => [page, look.colour])),
  );
}

function createChip({ page }: Neighbour): HTMLElement {
  const name = el("strong", { class: "chip-name" });
  return el("li", { class: "tab-chip", "data-me": page === me.page }, el("i", { class: "dot" }), name, el("small"));
}

function updateChip(chip: HTMLElement, { page, look, working, handled, quiet }: Neighbour): void {
  chip.style.setProperty("--tab", look.colour);
  chip.dataset["quiet"] = String(quiet);
  chip.dataset["working"] = String(working);
  setText(chip.children[1]!, page === me.page ? `${look.name} (you)` : look.name);
  setText(
    chip.children[2]!,
    [quiet ? "quiet" : working ? "working" : "watching", `${count(handled)} done`].join(" · "),
  );
}

/** In a window of its own, so that both are seen at once. */
function openBeside(): void {
  const { availWidth, availHeight } = screen;
  const width = Math.round(availWidth / 2);
  open(
    `./${location.hash}`,
    "",
    `popup,noopener,width=${width},height=${availHeight},left=${availWidth - width},top=0`,
  );
}

/** The browser's own tab shows the colour and name too. */
function wearLook(look: Look): void {
  if (worn?.name === look.name) return;
  worn = look;
  document.title = `${look.name} · tabloom`;
  document.documentElement.style.setProperty("--me", look.colour);
  const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><circle cx="16" cy="16" r="13" fill="${look.colour}"/></svg>`;
  byId("favicon", HTMLLinkElement).href = `data:image/svg+xml,${encodeURIComponent(icon)}`;
}
