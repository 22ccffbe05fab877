import { byId, setText } from "../page/dom.js";
import { plural } from "../page/format.js";
import { repeatWhileOpen, showGist } from "../page/panels.js";
import { nextNumber } from "../tabs/counter.js";
import { countCall, note } from "../tabs/meter.js";
import { me } from "../tabs/presence.js";
import { showJobs } from "./job-view.js";
import { FATES, type Report, reports } from "./reports.js";
import { tellStoryOf } from "./story.js";

const REFRESH_MS = 250;
const SHOWN = 7;

const form = byId("report", HTMLFormElement);
const result = byId("report-result", HTMLOutputElement);
const pause = byId("job-pause", HTMLButtonElement);
let paused = false;

export function showJobPanel(): void {
  void reports.start();
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const amount = event.submitter instanceof HTMLButtonElement ? Number(event.submitter.value) : 1;
    void submit(amount);
  });
  const refreshNow = repeatWhileOpen("job", REFRESH_MS, refresh);
  pause.addEventListener("click", () => void togglePause().then(refreshNow));
  byId("job-retry", HTMLButtonElement).addEventListener("click", () => void retryFailed().then(refreshNow));
  showGist("job", async () => {
    const { running, submitted, retry, parked } = await reports.stats();
    return running > 0 ? `${running} running` : `${submitted + retry + parked} waiting`;
  });
}

async function refresh(): Promise<void> {
  // Oldest first, and few are retained (reports.ts): the newest are at the end.
  const [{ entries }, stats] = await Promise.all([reports.list({ limit: 1000 }), reports.stats()]);
  paused = stats.paused;
  setText(pause, paused ? "Resume" : "Pause");
  pause.setAttribute("aria-pressed", String(paused));
  showJobs(entries.slice(-SHOWN).toReversed());
  tellStoryOf(entries.at(-1)?.id);
}

async function submit(amount: number): Promise<void> {
  const inputs = Array.from({ length: amount }, newReport);
  countCall();
  const submitted = await reports.submitMany(inputs.map((input) => ({ input })));
  note(`ordered ${plural(amount, "report")}`);
  await tellOutcome(submitted.at(-1)!.id, inputs.at(-1)!);
}

function newReport(): Report {
  const chosen = new FormData(form);
  const fate = FATES.find((known) => known === chosen.get("fate")) ?? "succeeds";
  return { code: `${me.look.name[0]}${nextNumber()}`, from: me.look, fate, sleeps: chosen.has("sleeps") };
}

async function tellOutcome(id: string, { code }: Report): Promise<void> {
  setText(result, `${code} is stored. Waiting for it with join()…`);
  const outcome = await reports.join({ id });
  const done = outcome.status === "completed";
  const words = done ? `done by ${new Intl.ListFormat("en").format(new Set(outcome.result))}` : outcome.error?.message;
  setText(result, `${code} ${outcome.status}: ${words ?? ""}`);
}

async function togglePause(): Promise<void> {
  if (paused) await reports.resume();
  else await reports.pause();
  note(paused ? "resumed the reports" : "paused the reports");
}

async function retryFailed(): Promise<void> {
  note(`tries again: ${plural(await reports.retryFailed(), "failed report")}`);
}
