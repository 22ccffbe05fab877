import type { JobInfo, ScheduleInfo } from "tabloom";
import { byId, el, setText, showList } from "../page/dom.js";
import { readChime } from "./chimes.js";
import { duration, timeOfDay } from "../page/format.js";

const list = byId("schedules", HTMLUListElement);
const runs = byId("chimes", HTMLOListElement);

type Run = JobInfo<unknown>;

export function showSchedules(schedules: readonly ScheduleInfo[]): void {
  list.classList.toggle("empty", schedules.length === 0);
  showList(list, schedules, { key: ({ id }) => id, create: createSchedule, update: updateSchedule });
}

function createSchedule({ id, cron, tz }: ScheduleInfo): HTMLElement {
  const button = (name: string, text: string): HTMLButtonElement =>
    el("button", { class: "button small", name, value: id, "aria-label": `${text}: ${id}` }, text);
  const buttons = [button("run", "Run now"), button("pause", "Pause"), button("remove", "Remove")];
  const what = el("span", { class: "schedule-name" }, el("b", {}, cron), el("small", {}, tz));
  return el("li", {}, what, el("span", { class: "schedule-next" }), el("span", { class: "buttons" }, ...buttons));
}

function updateSchedule(row: HTMLElement, { nextRunAt, lastRunAt, paused }: ScheduleInfo): void {
  const next = paused ? "paused" : `next in ${away(nextRunAt)}`;
  const last = lastRunAt === null ? "" : ` · last slot ${timeOfDay(lastRunAt)}`;
  setText(row.children[1]!, next + last);
  row.dataset["paused"] = String(paused);
  const toggle = row.querySelector("[name=pause], [name=resume]");
  if (!(toggle instanceof HTMLButtonElement)) return;
  toggle.name = paused ? "resume" : "pause";
  setText(toggle, paused ? "Resume" : "Pause");
}

function away(at: number): string {
  const ms = Math.max(0, at - Date.now());
  const days = ms / 86_400_000;
  if (days >= 2) return `${Math.floor(days)} days`;
  if (ms >= 7_200_000) return `${Math.floor(ms / 3_600_000)} h`;
  return duration(ms < 119_500 ? Math.round(ms / 1000) * 1000 : ms);
}

export function showRuns(entries: readonly Run[]): void {
  runs.classList.toggle("empty", entries.length === 0);
  showList(runs, entries, { key: ({ id }) => id, create: createRun, update: updateRun });
}

function createRun({ input }: Run): HTMLElement {
  const [name, why, time] = [el("b", {}, readChime(input)), el("span"), el("time")];
  return el("li", {}, el("i", { class: "dot" }), name, why, time);
}

function updateRun(row: HTMLElement, { meta, status, submittedAt, finishedAt }: Run): void {
  row.dataset["ok"] = String(status !== "failed");
  const slot = slotOf(meta);
  const lateMs = (finishedAt ?? Date.now()) - (slot ?? submittedAt);
  const what = slot === undefined ? "by hand" : `slot ${timeOfDay(slot)}`;
  setText(
    row.children[2]!,
    finishedAt === undefined ? `${what} · ${status}` : `${what} · done ${duration(lateMs)} later`,
  );
  setText(row.children[3]!, timeOfDay(finishedAt ?? submittedAt));
}

/** Runs by hand have no slot. */
function slotOf(meta: unknown): number | undefined {
  const slot =
    typeof meta === "object" && meta !== null ? (meta as { scheduleSlotTs?: unknown }).scheduleSlotTs : undefined;
  return typeof slot === "number" ? slot : undefined;
}
