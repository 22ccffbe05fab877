import { byId } from "./dom.js";
import { duration, plural } from "./format.js";
import { countSent } from "./meter.js";
import { me } from "./presence.js";
import { OUTCOMES, jobs } from "./space.js";

const COUNTER = "playground:jobs";
const form = byId("send", HTMLFormElement);
const result = byId("send-result", HTMLOutputElement);

export function showSendPanel(): void {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const amount = event.submitter instanceof HTMLButtonElement ? Number(event.submitter.value) : 1;
    void send(amount);
  });
}

async function send(amount: number): Promise<void> {
  const items = makeItems(amount);
  const before = performance.now();
  try {
    await jobs.sendMany(items);
  } catch (error) {
    result.textContent = `Nothing was sent: ${String(error)}`;
    return;
  }
  const ms = performance.now() - before;
  countSent(amount, ms);
  result.textContent = `${plural(amount, "message")} stored in ${duration(ms)}${amount > 1 ? ", all or none" : ""}.`;
}

function makeItems(amount: number) {
  const chosen = new FormData(form);
  const text = (name: string): string => asText(chosen.get(name));
  const outcome = OUTCOMES.find((known) => known === text("outcome")) ?? "succeeds";
  const [delayMs, priority, keys] = [Number(text("delayMs")), Number(text("priority")), Number(text("keys"))];
  const first = takeNumbers(amount);
  return Array.from({ length: amount }, (_, i) => ({
    data: {
      code: `${me.look.name[0]}${first + i}`,
      outcome,
      from: me.look,
      readyAt: Date.now() + delayMs,
    },
    delayMs,
    priority,
    ...(keys === 0 ? {} : { orderingKey: "abc"[i % keys]! }),
  }));
}

function asText(value: FormDataEntryValue | null): string {
  return typeof value === "string" ? value : "";
}

/** The numbers of this tab's jobs go on after a reload. */
function takeNumbers(amount: number): number {
  const first = Number(sessionStorage.getItem(COUNTER) ?? "1");
  sessionStorage.setItem(COUNTER, String(first + amount));
  return first;
}
