import type { QueuePeek, QueueStats } from "tabloom";
import { showBeads, showDelayed, showLanes, type Seen } from "./board.js";
import { readDeadLetters, showDeadLetters } from "./dead-letters.js";
import { byId, setText } from "./dom.js";
import { count, plural } from "./format.js";
import { note } from "./meter.js";
import { repeatWhileVisible } from "./pace.js";
import { changeMe, me } from "./presence.js";
import { backend, jobs, readJob } from "./space.js";
import { isHeldHere } from "./worker-panel.js";

const REFRESH_MS = 250;
/** Waiting messages that are shown one by one. */
const MAX_SHOWN = 160;

const pause = byId("pause", HTMLButtonElement);
let paused = false;
let refreshing = false;

export function showQueuePanel(): void {
  pause.addEventListener("click", () => void togglePause());
  byId("purge", HTMLButtonElement).addEventListener("click", () => void purge());
  showDeadLetters(refresh);
  repeatWhileVisible(REFRESH_MS, () => void refresh());
}

async function refresh(): Promise<void> {
  // One at a time: while there is no hub the calls wait, and would pile up.
  if (refreshing || backend.status.state === "closed") return;
  refreshing = true;
  try {
    const [stats, peeked] = await Promise.all([jobs.stats(), jobs.peek({ limit: MAX_SHOWN }), readDeadLetters()]);
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
  } catch {
    // The next round tries again; the hub's state is shown elsewhere.
  } finally {
    refreshing = false;
  }
}

function look({ data, ...message }: QueuePeek): Seen | undefined {
  const job = readJob(JSON.parse(data));
  if (message.by !== undefined && message.by !== me.holder && isHeldHere(message.messageId))
    changeMe({ holder: message.by });
  return job && { ...message, job };
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
  if (paused) await jobs.resume();
  else await jobs.pause();
  note(paused ? "resumed the queue" : "paused the queue");
  await refresh();
}

async function purge(): Promise<void> {
  note(`purged the queue: ${plural(await jobs.purge(), "message")}`);
  await refresh();
}
