import { queue } from "tabloom";
import { z } from "zod";
import { byId, setText } from "../page/dom.js";
import { count, duration, quantile } from "../page/format.js";
import { countHandled, countSent, note } from "../tabs/meter.js";

/** Nobody but the burst itself takes from it. */
const bursts = queue({ id: "bursts", schema: z.object({ n: z.number(), sentAt: z.number() }) });

const MESSAGES = 5000;
const IN_FLIGHT = 1000;
const TAKEN_AT_ONCE = 500;

const button = byId("burst", HTMLButtonElement);

export function showBurst(): void {
  button.addEventListener("click", () => {
    button.disabled = true;
    void run().finally(() => {
      button.disabled = false;
      setText(button, "Send 5,000 again");
    });
  });
}

async function run(): Promise<void> {
  const cells = ["burst-rate", "burst-p50", "burst-p99", "burst-drain"].map((id) => byId(id, HTMLElement));
  for (const cell of cells) setText(cell, "…");
  const sending = await sendAll();
  const sentPerSecond = (MESSAGES / sending.ms) * 1000;
  setText(cells[0]!, count(sentPerSecond));
  setText(cells[1]!, duration(quantile(sending.trips, 0.5) ?? 0));
  setText(cells[2]!, duration(quantile(sending.trips, 0.99) ?? 0));
  const draining = await drain();
  setText(cells[3]!, count((draining.handled / draining.ms) * 1000));
  note(`sent a burst of ${count(MESSAGES)}: ${count(sentPerSecond)} per second`);
}

async function sendAll(): Promise<{ ms: number; trips: number[] }> {
  const trips: number[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < MESSAGES) {
      const sentAt = performance.now();
      await bursts.send({ data: { n: next++, sentAt: Date.now() } });
      const ms = performance.now() - sentAt;
      trips.push(ms);
      countSent(1, ms);
    }
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
  return { ms: performance.now() - start, trips };
}

async function drain(): Promise<{ ms: number; handled: number }> {
  const start = performance.now();
  let handled = 0;
  for (;;) {
    const taken = await bursts.recvMany({ max: TAKEN_AT_ONCE, wait: false });
    if (taken.length === 0) return { ms: performance.now() - start, handled };
    const done = await Promise.all(taken.map((message) => message.ack()));
    handled += done.filter(Boolean).length;
    for (const { data } of taken) countHandled(Date.now() - data.sentAt);
  }
}
