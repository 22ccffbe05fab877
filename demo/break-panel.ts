import { byId } from "./dom.js";
import { count, duration, plural } from "./format.js";
import { shortEpoch } from "./hub-status.js";
import { KILL_CHANNEL } from "./kill-channel.js";
import { note } from "./meter.js";
import { backend, jobs } from "./space.js";

const FREEZE_MS = 12_000;
const verdict = byId("verdict", HTMLOutputElement);
const kills = new BroadcastChannel(KILL_CHANNEL);

export function showBreakPanel(): void {
  onClick("kill", kill);
  onClick("crash", crash);
  onClick("freeze", freeze);
  onClick("reload", () => location.reload());
  onClick("clear", clear);
}

function onClick(id: string, act: () => void | Promise<void>): void {
  byId(id, HTMLButtonElement).addEventListener("click", () => void act());
}

function judge(text: string): void {
  verdict.hidden = false;
  verdict.textContent = text;
}

async function kill(): Promise<void> {
  const { epoch } = backend.status;
  const before = await jobs.stats();
  const killedAt = performance.now();
  kills.postMessage("kill");
  judge("The hub is dead. Waiting for the next one…");
  await nextHub(epoch);
  const after = await jobs.stats();
  const ms = performance.now() - killedAt;
  const [had, has] = [before.depth + before.dead, after.depth + after.dead];
  const inQueue = had === has ? `${count(has)}, as before` : `${count(has)}, the others were handled meanwhile`;
  judge(
    `A new hub answered after ${duration(ms)}: epoch ${shortEpoch(epoch)} became ${shortEpoch(backend.status.epoch)}. ` +
      `Messages in the queue: ${inQueue}.`,
  );
  note(`killed the hub; the next one answered after ${duration(ms)}`);
}

function nextHub(epoch: string): Promise<void> {
  return new Promise((resolve) => {
    const stop = backend.onStatus((status) => {
      if (status.epoch === epoch || status.state !== "ready") return;
      stop();
      resolve();
    });
  });
}

/** Leaves so that nothing of this page can say goodbye: only its Web Lock falls. */
function crash(): void {
  addEventListener("pagehide", (event) => event.stopImmediatePropagation(), { capture: true });
  // Replaced pages are not kept for "back", so this one is really gone.
  location.replace("./crashed.html");
}

function freeze(): void {
  judge(`Frozen for ${duration(FREEZE_MS)}. Look at another tab.`);
  note(`freezes for ${duration(FREEZE_MS)}`);
  // After the next frame and the next pulse, so that both can still be seen.
  setTimeout(() => {
    const end = performance.now() + FREEZE_MS;
    while (performance.now() < end);
    judge("Awake again. What this tab held was given to others when its leases ended.");
  }, 700);
}

async function clear(): Promise<void> {
  const [waiting, dead] = await Promise.all([jobs.purge(), jobs.dlq.purge()]);
  const text = `cleared ${plural(waiting, "message")} and ${plural(dead, "dead letter")}`;
  note(text);
  judge(`${text[0]!.toUpperCase()}${text.slice(1)}.`);
}
