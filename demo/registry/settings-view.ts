import type { RegistryEvent } from "tabloom";
import { byId, el, setText, showList } from "../page/dom.js";
import { timeOfDay } from "../page/format.js";
import { type Entry, type Setting, settings, signed, writerOf } from "./settings.js";

const MAX_EVENTS = 6;

const list = byId("settings", HTMLUListElement);
const events = byId("registry-events", HTMLOListElement);

export function showEntries(entries: readonly Entry[]): void {
  list.classList.toggle("empty", entries.length === 0);
  showList(list, entries, { key: ({ key }) => key, create: createEntry, update: updateEntry });
}

function createEntry({ key }: Entry): HTMLElement {
  const input = el("input", { "aria-label": `Value of ${key}`, autocomplete: "off", spellcheck: false });
  const remove = el("button", { class: "button small", type: "button", "aria-label": `Remove ${key}` }, "Remove");
  const conflict = el("p", { class: "conflict", hidden: true });
  const form = el("form", {}, el("b", { class: "entry-key" }, key), input, el("small"), remove);
  // The version that was read when the editing began.
  input.addEventListener("focus", () => {
    form.dataset["version"] = form.dataset["newest"];
    conflict.hidden = true;
  });
  input.addEventListener("blur", () => delete form.dataset["version"]);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void save(key, form, input);
  });
  remove.addEventListener("click", () => void settings.remove({ key }));
  return el("li", {}, form, conflict);
}

function updateEntry(item: HTMLElement, entry: Entry): void {
  const [form, conflict] = item.children;
  if (!(form instanceof HTMLFormElement) || !(conflict instanceof HTMLElement)) return;
  const input = form.querySelector("input")!;
  form.dataset["newest"] = entry.version;
  // What is being written is left alone.
  if (document.activeElement !== input) input.value = String(entry.value);
  const left =
    entry.expiresAt === null ? "" : ` · ${Math.max(0, (entry.expiresAt - Date.now()) / 1000).toFixed(0)} s left`;
  setText(form.querySelector("small")!, `v${entry.version} · ${writerOf(entry)}${left}`);
}

/** Replaces what was read, and only that. */
async function save(key: string, form: HTMLFormElement, input: HTMLInputElement): Promise<void> {
  const version = form.dataset["version"] ?? form.dataset["newest"] ?? "";
  const { ok, entry } = await settings.cas({ key, version, value: parse(input.value), ...signed() });
  const conflict = form.nextElementSibling as HTMLElement;
  conflict.hidden = ok;
  if (ok) {
    form.dataset["version"] = entry!.version;
    input.blur();
    return;
  }
  const newest = await settings.get({ key });
  setText(
    conflict,
    newest
      ? `Not saved: ${writerOf(newest)} wrote “${String(newest.value)}” meanwhile (version ${newest.version}, you read ${version}). Press Enter again to overwrite it.`
      : "Not saved: it is gone.",
  );
  form.dataset["version"] = newest?.version ?? "";
}

/** What reads like a number or a flag is one. */
function parse(text: string): Setting {
  if (text === "true" || text === "false") return text === "true";
  return text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
}

export function showEvent(event: RegistryEvent<Setting>): void {
  if (event.type === "overflow") return;
  const key = event.type === "upsert" ? event.entry.key : event.key;
  const what =
    event.type === "upsert" ? `${writerOf(event.entry)} wrote ${String(event.entry.value)}` : `${event.type}d`;
  const line = el(
    "li",
    { "data-ok": true },
    el("b", {}, key),
    el("span", {}, what),
    el("time", {}, timeOfDay(Date.now())),
  );
  events.prepend(line);
  while (events.children.length > MAX_EVENTS) events.lastElementChild?.remove();
}
