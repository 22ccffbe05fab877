import { AbortError, retry } from "tabloom";
import { byId, el, setText } from "../page/dom.js";
import { duration, plural } from "../page/format.js";
import { showGist } from "../page/panels.js";

const CALL_MS = 90;
const MAX_DELAY_MS = 1500;
const MAX_RUNS = 7;

const form = byId("flaky", HTMLFormElement);
const odds = byId("odds", HTMLInputElement);
const runs = byId("attempts-shown", HTMLOListElement);
const abort = byId("retry-abort", HTMLButtonElement);
const running = new Set<AbortController>();
let last = "try again";
/** What the width of a track stands for: as long as the longest run. */
let shownMs = 2500;

export function showRetryPanel(): void {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void run();
  });
  odds.addEventListener("input", showOdds);
  abort.addEventListener("click", () => {
    for (const controller of running) controller.abort();
  });
  showOdds();
  showGist("retry", () => last);
}

function showOdds(): void {
  setText(byId("odds-value", HTMLOutputElement), `${odds.value} % of the time`);
}

async function run(): Promise<void> {
  const controller = new AbortController();
  running.add(controller);
  abort.disabled = false;
  const track = addTrack();
  const startedAt = performance.now();
  const at = (): number => performance.now() - startedAt;
  let attempts = 0;
  try {
    await retry(
      async (attempt) => {
        attempts = attempt;
        const mark = track.begin(at());
        await call().catch((error: unknown) => {
          mark.end(at(), "failed");
          throw error;
        });
        mark.end(at(), "succeeded");
      },
      { ...options(), signal: controller.signal },
    );
    last = plural(attempts, "attempt");
    track.finish("good", `done after ${last} and ${duration(at())}`);
  } catch (error) {
    const aborted = error instanceof AbortError;
    last = aborted ? "aborted" : `gave up after ${attempts}`;
    const why = error instanceof Error ? error.message : String(error);
    track.finish("bad", aborted ? "aborted" : `${why}: gave up after ${plural(attempts, "attempt")}`);
  } finally {
    running.delete(controller);
    abort.disabled = running.size === 0;
  }
}

function options() {
  const value = (id: string): number => Number(byId(id, HTMLSelectElement).value);
  return {
    attempts: value("attempts"),
    minDelayMs: value("min-delay"),
    maxDelayMs: MAX_DELAY_MS,
    factor: value("factor"),
    jitter: value("jitter"),
  };
}

async function call(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, CALL_MS));
  const fault = new FormData(form).get("fault") as string;
  if (Math.random() * 100 < odds.valueAsNumber) throw new Error(fault);
}

interface Mark {
  end(at: number, outcome: "failed" | "succeeded"): void;
}

/** A line of attempts, to scale. */
function addTrack(): { begin(at: number): Mark; finish(tone: "good" | "bad", text: string): void } {
  const bar = el("div", { class: "track" });
  const text = el("p", {}, "…");
  runs.prepend(el("li", {}, bar, text));
  while (runs.children.length > MAX_RUNS) runs.lastElementChild?.remove();
  return {
    begin(from) {
      const mark = el("i", { "data-outcome": "pending" });
      mark.style.setProperty("--from", String(from));
      mark.style.setProperty("--ms", String(CALL_MS));
      bar.append(mark);
      return {
        end(until, outcome) {
          mark.dataset["outcome"] = outcome;
          mark.style.setProperty("--ms", String(until - from));
          shownMs = Math.max(shownMs, until);
          runs.style.setProperty("--shown", String(shownMs));
        },
      };
    },
    finish(tone, words) {
      text.dataset["tone"] = tone;
      setText(text, words);
    },
  };
}
