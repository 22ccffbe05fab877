import { byId } from "../page/dom.js";
import { count, duration, plural } from "../page/format.js";
import { shortEpoch } from "../tabs/hub-status.js";
import { note } from "../tabs/meter.js";
import { tasks } from "../queue/tasks.js";
import { backend } from "../space.js";
import { me } from "../tabs/presence.js";
import { crash, killHub, obeyCrashes } from "./crash.js";

const FREEZE_MS = 12_000;
const VERDICT_MS = 10_000;
const verdict = byId("verdict", HTMLOutputElement);
let hiding: ReturnType<typeof setTimeout> | undefined;

export function showFaults(): void {
  // The hub can be ended from several places of the page.
  for (const button of document.querySelectorAll("[data-fault=kill]")) {
    button.addEventListener("click", () => void kill());
  }
  obeyCrashes();
  onClick("crash", () => crash(me.page));
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
  clearTimeout(hiding);
  hiding = setTimeout(() => (verdict.hidden = true), VERDICT_MS);
}

async function kill(): Promise<void> {
  const { epoch } = backend.status;
  const before = await tasks.stats();
  const killedAt = performance.now();
  killHub();
  judge("The hub is dead. Waiting for the next one…");
  await nextHub(epoch);
  const after = await tasks.stats();
  const ms = performance.now() - killedAt;
  const [had, has] = [before.depth + before.dead, after.depth + after.dead];
  const inQueue = had === has ? "as before" : "the others were handled meanwhile";
  judge(
    `A new hub answered after ${duration(ms)}: epoch ${shortEpoch(epoch)} became ${shortEpoch(backend.status.epoch)}.` +
      (had > 0 ? ` Messages in the queue: ${count(has)}, ${inQueue}.` : ""),
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
  const [waiting, dead] = await Promise.all([tasks.purge(), tasks.dlq.purge()]);
  const text = `cleared ${plural(waiting, "message")} and ${plural(dead, "dead letter")}`;
  note(text);
  judge(`${text[0]!.toUpperCase()}${text.slice(1)}.`);
}
