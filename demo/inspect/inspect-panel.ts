import { type InstanceInfo, type InstanceName, inspect } from "tabloom";
import { byId, el, setText, showList } from "../page/dom.js";
import { plural } from "../page/format.js";
import { repeatWhileVisible } from "../page/pace.js";
import { backend } from "../space.js";
import { showTrace } from "./trace.js";

const REFRESH_MS = 1000;
const MAX_PEEKED = 20;

const inspector = inspect(backend);
const list = byId("instances", HTMLUListElement);
const peeked = byId("peeked", HTMLPreElement);
let opened: string | undefined;

export function showInspect(): void {
  repeatWhileVisible(REFRESH_MS, refresh);
  showTrace(inspector);
}

async function refresh(): Promise<void> {
  const instances = await inspector.instances();
  instances.sort((a, b) => keyOf(a.name).localeCompare(keyOf(b.name)));
  setText(byId("instances-count", HTMLElement), plural(instances.length, "instance"));
  showList(list, instances, { key: ({ name }) => keyOf(name), create: createInstance, update: updateInstance });
  const shown = instances.find(({ name }) => keyOf(name) === opened);
  peeked.hidden = !shown;
  if (shown) await showPeeked(shown.name);
}

const keyOf = ({ kind, id, tenantId, prefix }: InstanceName): string => [kind, id, tenantId, prefix].join(" ");

function createInstance({ name, durability }: InstanceInfo): HTMLElement {
  const button = el(
    "button",
    { class: "instance", "aria-pressed": false },
    el("b", {}, name.kind),
    el("span", {}, name.id),
  );
  button.title = `durability: ${durability}. Click to see what it holds`;
  button.append(el("small"));
  button.addEventListener("click", () => {
    opened = opened === keyOf(name) ? undefined : keyOf(name);
    void refresh();
  });
  return el("li", {}, button);
}

function updateInstance(item: HTMLElement, { name, stats }: InstanceInfo): void {
  const button = item.firstElementChild!;
  button.setAttribute("aria-pressed", String(opened === keyOf(name)));
  setText(button.lastElementChild!, wordsOf(stats));
}

/** Stats are flat: numbers, flags, cursors. What is 0 or off says nothing. */
function wordsOf(stats: InstanceInfo["stats"]): string {
  if (typeof stats !== "object" || stats === null) return "";
  const said = Object.entries(stats).filter(([, value]) => (typeof value === "number" ? value > 0 : value === true));
  return said
    .map(([name, value]) => (value === true ? name : `${name} ${Number(value).toLocaleString("en")}`))
    .join(" · ");
}

async function showPeeked(name: InstanceName): Promise<void> {
  const held = await inspector.peek(name, { limit: MAX_PEEKED });
  const lines = held.map((item) => JSON.stringify(item));
  setText(peeked, lines.length === 0 ? `${name.kind} "${name.id}" holds nothing now.` : lines.join("\n"));
}
