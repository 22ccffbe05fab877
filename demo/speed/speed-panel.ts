import { showChart } from "./chart.js";
import { byId, setText } from "../page/dom.js";
import { count, duration, quantile } from "../page/format.js";
import { repeatWhileVisible } from "../page/pace.js";
import { follow } from "../space.js";
import { type Pulse, pulses } from "../tabs/pulses.js";

const SECONDS = 60;

interface Second {
  sent: number;
  handled: number;
  sendMs: number[];
  handledMs: number[];
}

const seconds = new Map<number, Second>();

/** What all tabs did in the last minute, from their pulses: a tab that comes later draws the same. */
export function showSpeed(): void {
  void follow(pulses, "0-0", ({ data, publishedAt }) => add(data, publishedAt));
  const drawRates = showChart("throughput", SECONDS, { scale: "linear", unit: "messages", atLeast: 10 });
  const drawLatency = showChart("latency", SECONDS, { scale: "log", unit: "ms", atLeast: 1000 });
  repeatWhileVisible(1000, () => {
    const minute = lastMinute();
    drawRates({
      sent: minute.map((second) => second?.sent ?? 0),
      handled: minute.map((second) => second?.handled ?? 0),
    });
    const sent = minute.map((second) => median(second?.sendMs));
    const handled = minute.map((second) => median(second?.handledMs));
    drawLatency({ sent, handled });
    setText(byId("rate-sent", HTMLElement), count(minute.at(-1)?.sent ?? 0));
    setText(byId("rate-handled", HTMLElement), count(minute.at(-1)?.handled ?? 0));
    showLast("latency-sent", sent);
    showLast("latency-handled", handled);
  });
}

function add({ sent, handled, sendMs, handledMs }: Pulse, at: number): void {
  const key = Math.floor(at / 1000);
  const second = seconds.get(key) ?? { sent: 0, handled: 0, sendMs: [], handledMs: [] };
  second.sent += sent;
  second.handled += handled;
  second.sendMs.push(...sendMs);
  second.handledMs.push(...handledMs);
  seconds.set(key, second);
}

/** The last whole seconds; undefined where nothing happened. */
function lastMinute(): (Second | undefined)[] {
  const now = Math.floor(Date.now() / 1000);
  for (const key of seconds.keys()) if (key < now - SECONDS) seconds.delete(key);
  return Array.from({ length: SECONDS }, (_, i) => seconds.get(now - SECONDS + i));
}

/** null, not 0: a chart on a logarithmic axis leaves it out. */
function median(samples: readonly number[] | undefined): number | null {
  const value = quantile(samples ?? [], 0.5);
  return value === undefined ? null : Math.max(value, 0.01);
}

function showLast(id: string, values: readonly (number | null)[]): void {
  const last = values.findLast((value) => value !== null);
  setText(byId(id, HTMLElement), last ? duration(last) : "–");
}
