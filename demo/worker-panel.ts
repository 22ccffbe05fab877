import type { Received } from "tabloom";
import { byId, setText } from "./dom.js";
import { duration } from "./format.js";
import { countFailed, countHandled, note } from "./meter.js";
import { rest } from "./pace.js";
import { changeMe, me } from "./presence.js";
import { type Job, MAX_DELIVERIES, jobs } from "./space.js";

/** What the slider's steps mean. */
const PACES_MS = [0, 20, 100, 250, 500, 1000, 2000, 3000, 5000];
const BACKOFF_MS = 900;

const working = byId("working", HTMLInputElement);
const pace = byId("pace", HTMLInputElement);
const concurrency = byId("concurrency", HTMLInputElement);
const cured = byId("cured", HTMLInputElement);

/** The loops that take jobs, one for each job at the same time. */
const loops: AbortController[] = [];
/** What this tab holds now. */
const held = new Set<string>();

export function showWorkerPanel(): void {
  for (const input of [working, pace, concurrency]) input.addEventListener("input", adjust);
  byId("worker", HTMLFormElement).addEventListener("submit", (event) => event.preventDefault());
  adjust();
}

/** Whether this tab holds a message: how the page learns under which name the hub knows it. */
export function isHeldHere(messageId: string): boolean {
  return held.has(messageId);
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
      for await (const job of jobs.stream({ signal, consumerId: me.look.name })) await handle(job);
    } catch (error) {
      note(`had trouble: ${String(error)}`);
      await rest(1000);
    }
  }
}

async function handle(job: Received<Job>): Promise<void> {
  held.add(job.messageId);
  try {
    await rest(paceMs());
    if (fails(job)) await giveBack(job);
    else if (await job.ack()) countHandled(Date.now() - job.data.readyAt, `handled ${job.data.code}${ofAttempt(job)}`);
    else note(`finished ${job.data.code} too late: refused, its lease was over`);
  } finally {
    held.delete(job.messageId);
  }
}

function fails({ data, attempt }: Received<Job>): boolean {
  switch (data.outcome) {
    case "succeeds":
      return false;
    case "fails-first":
      return attempt === 1;
    case "poison":
      return !cured.checked;
  }
}

async function giveBack(job: Received<Job>): Promise<void> {
  const { attempt, data } = job;
  const error = data.outcome === "poison" ? "cannot digest this" : "not on the first try";
  const isLast = attempt >= MAX_DELIVERIES;
  if (!(await job.nack({ error, ...(isLast ? {} : { delayMs: attempt * BACKOFF_MS }) }))) return;
  const then = isLast ? "now a dead letter" : `again in ${duration(attempt * BACKOFF_MS)}`;
  countFailed({
    tone: isLast ? "bad" : "retry",
    text: `failed ${data.code}, attempt ${attempt} of ${MAX_DELIVERIES}: ${then}`,
  });
}

function ofAttempt({ attempt }: Received<Job>): string {
  return attempt === 1 ? "" : ` at attempt ${attempt}`;
}
