import { byId, setText } from "./dom.js";
import { repeatWhileVisible } from "./pace.js";

const NAMES = ["queue", "topic", "job", "scheduler", "mutex", "ratelimit", "registry", "ephemeral", "retry"] as const;
export type PanelName = (typeof NAMES)[number];

const GIST_MS = 1000;
const links = byId("primitives", HTMLElement);
const whenOpened = new Map<PanelName, (() => void)[]>();
let open: PanelName = "queue";

/** One primitive's panel at a time, as the address says: #mutex. Panels have other ids, so nothing scrolls. */
export function showPanels(): void {
  addEventListener("hashchange", follow);
  follow();
}

function follow(): void {
  open = NAMES.find((name) => location.hash === `#${name}`) ?? open;
  for (const name of NAMES) byId(`panel-${name}`, HTMLElement).hidden = name !== open;
  for (const link of links.children) {
    if (link.getAttribute("href") === `#${open}`) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  // Another tab opens where this one is.
  for (const link of document.querySelectorAll<HTMLAnchorElement>("a[target=_blank]")) link.href = `./#${open}`;
  for (const look of whenOpened.get(open) ?? []) look();
}

/** As {@link repeatWhileVisible}, only while this panel is the open one. */
export function repeatWhileOpen(panel: PanelName, ms: number, step: () => void | Promise<void>): () => Promise<void> {
  const look = repeatWhileVisible(ms, () => (open === panel ? step() : undefined));
  whenOpened.set(panel, [...(whenOpened.get(panel) ?? []), () => void look()]);
  return look;
}

/** Keeps a few words on what goes on in a panel below its name, also while another one is open. */
export function showGist(panel: PanelName, read: () => string | Promise<string>): void {
  const gist = links.querySelector(`[data-gist="${panel}"]`)!;
  repeatWhileVisible(GIST_MS, async () => setText(gist, await read()));
}
