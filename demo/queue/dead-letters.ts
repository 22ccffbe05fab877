import type { DeadLetter } from "tabloom";
import { byId, el, setText, showList } from "../page/dom.js";
import { plural, timeOfDay } from "../page/format.js";
import { note } from "../tabs/meter.js";
import { readTask, tasks } from "./tasks.js";

const SHOWN = 6;
const list = byId("dead", HTMLUListElement);
const redriveEvery = byId("redrive-all", HTMLButtonElement);
const purgeEvery = byId("purge-dead", HTMLButtonElement);
let afterAction: () => Promise<void>;

/** The list of what was given up, with what one can do about it. `changed` is called after each action. */
export function showDeadLetters(changed: () => Promise<void>): void {
  afterAction = changed;
  redriveEvery.addEventListener("click", () => void redriveAll());
  purgeEvery.addEventListener("click", () => void purge());
}

export async function readDeadLetters(): Promise<void> {
  const { entries, next } = await tasks.dlq.list({ limit: SHOWN });
  const empty = entries.length === 0;
  list.classList.toggle("empty", empty);
  redriveEvery.disabled = purgeEvery.disabled = empty;
  list.dataset["more"] = next === undefined ? "" : "and more, younger ones";
  showList(list, entries, { key: ({ messageId }) => messageId, create: createEntry, update: () => {} });
}

function createEntry({ messageId, data, attempts, movedAt, lastError, reason }: DeadLetter): HTMLElement {
  const task = readTask(data);
  const code = task?.code ?? messageId;
  const dot = el("i", { class: "dot" });
  dot.style.setProperty("--tab", task?.from.colour ?? "var(--muted)");
  const what = el("span", { class: "dead-what" }, dot, el("b", {}, code));
  const why = el("span", { class: "dead-why" });
  setText(why, `${lastError ?? reason} · ${plural(attempts, "attempt")} · ${timeOfDay(movedAt)}`);
  const redrive = el("button", { class: "button small", "aria-label": `Redrive ${code}` }, "Redrive");
  const remove = el("button", { class: "button small", "aria-label": `Remove ${code}` }, "Remove");
  redrive.addEventListener("click", () => void redriveOne(messageId, code));
  remove.addEventListener("click", () => void removeOne(messageId, code));
  return el("li", {}, what, why, el("span", { class: "buttons" }, redrive, remove));
}

async function redriveOne(messageId: string, code: string): Promise<void> {
  if ((await tasks.dlq.redrive({ ids: [messageId] })) > 0) note(`redrove ${code}`);
  await afterAction();
}

async function removeOne(messageId: string, code: string): Promise<void> {
  if (await tasks.dlq.remove(messageId)) note(`removed dead letter ${code}`);
  await afterAction();
}

async function redriveAll(): Promise<void> {
  note(`redrove ${plural(await tasks.dlq.redrive({ all: true }), "dead letter")}`);
  await afterAction();
}

async function purge(): Promise<void> {
  note(`purged ${plural(await tasks.dlq.purge(), "dead letter")}`);
  await afterAction();
}
