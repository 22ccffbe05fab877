import type { Received } from "tabloom";
import { byId, setText } from "../page/dom.js";
import { duration } from "../page/format.js";
import { countFailed, countHandled, note } from "../tabs/meter.js";
import { rest } from "../page/pace.js";
import { changeMe, me } from "../tabs/presence.js";
import { MAX_DELIVERIES, type Task, tasks } from "./tasks.js";

/** What the slider's steps mean. */
const PACES_MS = [0, 20, 100, 250, 500, 1000, 2000, 3000, 5000];
const BACKOFF_MS = 900;

const working = byId("working", HTMLInputElement);
const pace = byId("pace", HTMLInputElement);
const concurrency = byId("concurrency", HTMLInputElement);
const cured = byId("cured", HTMLInputElement);

/** The loops that take tasks, one for each task at the same time. */
const loops: AbortController[] = [];

export function showWorkerPanel(): void {
  for (const input of [working, pace, concurrency]) input.addEventListener("input", adjust);
  byId("worker", HTMLFormElement).addEventListener("submit", (event) => event.preventDefault());
  adjust();
}

function paceMs(): number {
  return PACES_MS[pace.valueAsNumber] ?? 0;
}

function adjust(): void {
  setText(byId("pace-value", HTMLOutputElement), paceMs() === 0 ? "no time" : duration(paceMs()));
  setText(byId("concurrency-value", HTMLOutputElement), concurrency.value);
  pace.setAttribute("aria-valuetext", duration(paceMs()));
  const wanted = working.checked ? concurrency.valueAsNumber : 0;
  while (loops.length > wanted) loops.pop()?.abort();
  while (loops.length < wanted) {
    const stop = new AbortController();
    loops.push(stop);
    void work(stop.signal);
  }
  if (working.checked !== me.working) changeMe({ working: working.checked });
}

async function work(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      for await (const task of tasks.stream({ signal, consumerId: me.look.name })) await handle(task);
    } catch (error) {
      note(`had trouble: ${String(error)}`);
      await rest(1000);
    }
  }
}

async function handle(task: Received<Task>): Promise<void> {
  await rest(paceMs());
  if (fails(task)) await giveBack(task);
  else if (await task.ack())
    countHandled(Date.now() - task.data.readyAt, `handled ${task.data.code}${ofAttempt(task)}`);
  else note(`finished ${task.data.code} too late: refused, its lease was over`);
}

function fails({ data, attempt }: Received<Task>): boolean {
  switch (data.outcome) {
    case "succeeds":
      return false;
    case "fails-first":
      return attempt === 1;
    case "poison":
      return !cured.checked;
  }
}

async function giveBack(task: Received<Task>): Promise<void> {
  const { attempt, data } = task;
  const error = data.outcome === "poison" ? "cannot digest this" : "not on the first try";
  const isLast = attempt >= MAX_DELIVERIES;
  if (!(await task.nack({ error, ...(isLast ? {} : { delayMs: attempt * BACKOFF_MS }) }))) return;
  const then = isLast ? "now a dead letter" : `again in ${duration(attempt * BACKOFF_MS)}`;
  countFailed({
    tone: isLast ? "bad" : "retry",
    text: `failed ${data.code}, attempt ${attempt} of ${MAX_DELIVERIES}: ${then}`,
  });
}

function ofAttempt({ attempt }: Received<Task>): string {
  return attempt === 1 ? "" : ` at attempt ${attempt}`;
}
