import { byId } from "../page/dom.js";
import { duration, plural } from "../page/format.js";
import { nextNumber } from "../tabs/counter.js";
import { countSent } from "../tabs/meter.js";
import { me } from "../tabs/presence.js";
import { OUTCOMES, tasks } from "./tasks.js";

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
    await tasks.sendMany(items);
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
  const first = nextNumber(amount);
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
