import { ValidationError, job, scheduler } from "tabloom";
import { byId, el } from "../page/dom.js";
import { repeatWhileOpen, showGist } from "../page/panels.js";
import { countCall, note } from "../tabs/meter.js";
import { CHIMES, SCHEDULER_ID } from "./chimes.js";
import { showRuns, showSchedules } from "./schedule-view.js";

const REFRESH_MS = 500;
const PREVIEWED = 5;
const SHOWN_RUNS = 7;

/** Not worked on here: hub.ts does. */
const chimes = job({ ...CHIMES, worker: false, process: () => Promise.reject(new Error("runs in the hub")) });
const clock = scheduler({ id: SCHEDULER_ID });

const form = byId("schedule", HTMLFormElement);
const cron = byId("cron", HTMLInputElement);
const zone = byId("zone", HTMLSelectElement);
const slots = byId("slots", HTMLOListElement);
const register = byId("register", HTMLButtonElement);
let previews = 0;

export function showSchedulerPanel(): void {
  offerZones();
  for (const input of [cron, zone]) input.addEventListener("input", () => void preview());
  byId("crons", HTMLDivElement).addEventListener("click", ({ target }) => {
    if (!(target instanceof HTMLButtonElement)) return;
    cron.value = target.value;
    zone.value = target.dataset["zone"] ?? zone.value;
    void preview();
  });
  void preview();
  const refreshNow = repeatWhileOpen("scheduler", REFRESH_MS, refresh);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void make().then(refreshNow);
  });
  byId("schedules", HTMLUListElement).addEventListener("click", ({ target }) => {
    if (target instanceof HTMLButtonElement) void act(target.name, target.value).then(refreshNow);
  });
  showGist("scheduler", async () => {
    const next = Math.min(...(await clock.list()).filter(({ paused }) => !paused).map(({ nextRunAt }) => nextRunAt));
    return next === Infinity ? "no schedule" : `next ${clockTime.format(next)}`;
  });
}

const clockTime = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

function offerZones(): void {
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const zones = [here, "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"];
  for (const name of new Set(zones)) zone.append(el("option", {}, name));
}

async function preview(): Promise<void> {
  const asked = ++previews;
  const { value: tz } = zone;
  const local = new Intl.DateTimeFormat("en-GB", {
    timeZone: tz,
    weekday: "short",
    day: "numeric",
    month: "short",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    timeZoneName: "shortOffset",
  });
  const found = await clock.preview({ cron: cron.value, tz, count: PREVIEWED }).catch((refused: unknown) => {
    if (!(refused instanceof ValidationError)) throw refused;
    return refused;
  });
  if (asked !== previews) return;
  const valid = Array.isArray(found);
  register.disabled = !valid;
  const refusal = (): HTMLElement => el("li", { "data-tone": "bad" }, valid ? "" : found.message);
  slots.replaceChildren(...(valid ? found.map((at) => el("li", {}, local.format(at))) : [refusal()]));
}

async function make(): Promise<void> {
  const [expression, tz] = [cron.value.trim(), zone.value];
  const id = `${expression} ${tz}`;
  await clock.register({ id, cron: expression, tz, job: chimes, input: { schedule: id } });
  note(`registered the schedule ${id}`);
}

async function act(what: string, id: string): Promise<void> {
  countCall();
  switch (what) {
    case "run":
      await clock.triggerNow({ id });
      return;
    case "pause":
      await clock.pause({ id });
      return;
    case "resume":
      await clock.resume({ id });
      return;
    case "remove":
      await clock.unregister({ id });
  }
}

async function refresh(): Promise<void> {
  const [schedules, { entries }] = await Promise.all([clock.list(), chimes.list({ limit: 1000 })]);
  showSchedules(schedules);
  // Oldest first, and few are retained (chimes.ts).
  showRuns(entries.slice(-SHOWN_RUNS).toReversed());
}
