import type { QueuePeek, QueueStats } from "tabloom";
import { showBeads, showDelayed, showLanes, type Seen } from "./board.js";
import { readDeadLetters, showDeadLetters } from "./dead-letters.js";
import { byId, setText } from "../page/dom.js";
import { count, plural } from "../page/format.js";
import { note } from "../tabs/meter.js";
import { repeatWhileOpen, showGist } from "../page/panels.js";
import { readTask, tasks } from "./tasks.js";

const REFRESH_MS = 250;
/** Waiting messages that are shown one by one. */
const MAX_SHOWN = 160;

const pause = byId("pause", HTMLButtonElement);
let paused = false;

export function showQueuePanel(): void {
  const refreshNow = repeatWhileOpen("queue", REFRESH_MS, refresh);
  pause.addEventListener("click", () => void togglePause().then(refreshNow));
  byId("purge", HTMLButtonElement).addEventListener("click", () => void purge().then(refreshNow));
  showDeadLetters(refreshNow);
  showGist("queue", async () => {
    const { ready, leased, delayed } = await tasks.stats();
    return leased > 0 ? `${count(leased)} in flight` : `${count(ready + delayed)} waiting`;
  });
}

async function refresh(): Promise<void> {
  const [stats, peeked] = await Promise.all([tasks.stats(), tasks.peek({ limit: MAX_SHOWN }), readDeadLetters()]);
  showStats(stats);
  const seen = peeked.map(look).filter((message) => message !== undefined);
  showLanes(seen.filter(({ at }) => at === "leased"));
  showBeads(
    seen.filter(({ at }) => at === "ready"),
    stats.ready,
  );
  showDelayed(
    seen.filter(({ at }) => at === "delayed"),
    stats.delayed,
  );
}

function look({ data, ...message }: QueuePeek): Seen | undefined {
  const task = readTask(JSON.parse(data));
  return task && { ...message, task };
}

function showStats(stats: QueueStats): void {
  for (const name of ["ready", "leased", "delayed", "dead"] as const) {
    setText(byId(`count-${name}`, HTMLElement), count(stats[name]));
  }
  paused = stats.paused;
  setText(pause, paused ? "Resume" : "Pause");
  pause.setAttribute("aria-pressed", String(paused));
  byId("paused", HTMLElement).hidden = !paused;
}

async function togglePause(): Promise<void> {
  if (paused) await tasks.resume();
  else await tasks.pause();
  note(paused ? "resumed the queue" : "paused the queue");
}

async function purge(): Promise<void> {
  note(`purged the queue: ${plural(await tasks.purge(), "message")}`);
}
