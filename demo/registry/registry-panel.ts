import { TabloomError } from "tabloom";
import { followEntries } from "../live-entries.js";
import { byId, setText } from "../page/dom.js";
import { plural } from "../page/format.js";
import { repeatWhileOpen, showGist } from "../page/panels.js";
import { countCall } from "../tabs/meter.js";
import { type Entry, HUE, THREADS, type Setting, makeDefaults, settings, signed } from "./settings.js";
import { showEntries, showEvent } from "./settings-view.js";

const REFRESH_MS = 500;

const form = byId("setting", HTMLFormElement);
const result = byId("setting-result", HTMLOutputElement);
const hue = byId("hue", HTMLInputElement);
const threads = byId("threads-on", HTMLInputElement);
const prefixes = byId("prefixes", HTMLDivElement);
let entries: ReadonlyMap<string, Entry> = new Map();
let prefix = "";

export function showRegistryPanel(): void {
  hue.addEventListener("input", () => void set(HUE, hue.valueAsNumber));
  threads.addEventListener("input", () => void set(THREADS, threads.checked));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void setOther();
  });
  prefixes.addEventListener("input", ({ target }) => {
    if (target instanceof HTMLInputElement) prefix = target.value;
    show();
  });
  void makeDefaults();
  void followEntries(
    { snapshot: () => settings.list(), changesAfter: (cursor) => settings.reader({ after: cursor }).stream() },
    (now, event) => {
      entries = now;
      obey();
      show();
      if (event) showEvent(event);
    },
  );
  // What is left of a ttl runs without events.
  repeatWhileOpen("registry", REFRESH_MS, show);
  showGist("registry", () => plural(entries.size, "entry", "entries"));
}

function show(): void {
  showEntries(
    [...entries.values()].filter(({ key }) => key.startsWith(prefix)).toSorted((a, b) => (a.key < b.key ? -1 : 1)),
  );
}

async function set(key: string, value: Setting, ttlMs?: number): Promise<void> {
  countCall();
  await settings.upsert({ key, value, ...signed(), ...(ttlMs === undefined ? {} : { ttlMs }) });
}

async function setOther(): Promise<void> {
  const chosen = new FormData(form);
  const [key, value, ttl] = ["key", "value", "ttl"].map((name) => chosen.get(name) as string);
  try {
    await set(key!, value!, ttl === "" ? undefined : Number(ttl));
    setText(result, "");
  } catch (error) {
    if (!(error instanceof TabloomError)) throw error;
    setText(result, error.message);
  }
}

/** This page does as the settings say, whoever changed them. */
function obey(): void {
  const degrees = entries.get(HUE)?.value;
  if (typeof degrees === "number") {
    document.documentElement.style.setProperty("--hue", String(degrees));
    hue.value = String(degrees);
    setText(byId("hue-value", HTMLOutputElement), `${degrees}°`);
  }
  const visible = entries.get(THREADS)?.value !== false;
  threads.checked = visible;
  document.body.classList.toggle("threadless", !visible);
}
