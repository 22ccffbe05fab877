import type { JobInfo } from "tabloom";
import { byId, el, setText, showList } from "../page/dom.js";
import { plural } from "../page/format.js";
import { crash } from "../faults/crash.js";
import { note } from "../tabs/meter.js";
import { me, tabHolding } from "../tabs/presence.js";
import { STEPS, readProgress, readReport, reports } from "./reports.js";

type Seen = JobInfo<string[]>;

const list = byId("jobs", HTMLUListElement);

export function showJobs(jobs: readonly Seen[]): void {
  list.classList.toggle("empty", jobs.length === 0);
  showList(list, jobs, { key: ({ id }) => id, create: createJob, update: updateJob });
}

function createJob({ id, input }: Seen): HTMLElement {
  const report = readReport(input);
  const code = report?.code ?? id;
  const title = el("span", { class: "job-name" }, el("i", { class: "dot" }), el("b", {}, code));
  title.style.setProperty("--tab", report?.from.colour ?? "var(--muted)");
  title.title = `ordered by ${report?.from.name ?? "someone"}`;
  const steps = el("ol", { class: "steps" }, ...STEPS.map((step) => el("li", {}, el("span", {}, step), el("i"))));
  const cancel = el("button", { class: "button small", "aria-label": `Cancel ${code}` }, "Cancel");
  cancel.addEventListener("click", () => void cancelJob(id, code));
  const end = el("button", { class: "button small danger" }, "Crash its tab");
  return el("li", { class: "job" }, title, steps, el("p"), el("span", { class: "buttons" }, end, cancel));
}

async function cancelJob(id: string, code: string): Promise<void> {
  if (await reports.cancel({ id, reason: `${me.look.name} changed its mind` })) note(`cancelled report ${code}`);
}

function updateJob(item: HTMLElement, job: Seen): void {
  const [, steps, words, buttons] = item.children;
  item.dataset["status"] = job.status;
  const progress = readProgress(job.progress);
  for (const [index, step] of [...steps!.children].entries()) {
    const part = progress[index];
    const finished = job.steps.includes(STEPS[index]!);
    if (!(step instanceof HTMLElement)) continue;
    step.style.setProperty("--tab", part?.by.colour ?? "var(--edge)");
    step.style.setProperty("--share", String(finished ? 1 : (part?.share ?? 0)));
    step.dataset["done"] = String(finished);
    step.title = part ? `${STEPS[index]} by ${part.by.name}` : "";
  }
  setText(words!, wordsOf(job));
  const [crashIt, cancel] = buttons!.children;
  const runner = tabHolding(job.by);
  if (crashIt instanceof HTMLButtonElement && cancel instanceof HTMLButtonElement) {
    crashIt.hidden = !runner;
    crashIt.onclick = () => runner && crash(runner.page);
    cancel.hidden = job.finishedAt !== undefined;
  }
}

function wordsOf(job: Seen): string {
  const words = [statusOf(job)];
  if (job.failures > 0) words.push(plural(job.failures, "failure"));
  if (job.crashes > 0) words.push(plural(job.crashes, "crash", "crashes"));
  if (job.error && job.status !== "completed") words.push(job.error.message);
  return words.join(" · ");
}

function statusOf({ status, by, dueAt }: Seen): string {
  const inSeconds = dueAt === undefined ? "" : ` ${Math.max(0, (dueAt - Date.now()) / 1000).toFixed(1)} s`;
  switch (status) {
    case "running":
      return `running in ${tabHolding(by)?.look.name ?? "a tab"}${by === me.tabId ? " (you)" : ""}`;
    case "parked":
      return `sleeps${inSeconds}`;
    case "retry":
      return `tries again in${inSeconds}`;
    case "submitted":
      return "waits for a free tab";
    default:
      return status;
  }
}
