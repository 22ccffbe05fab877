import { type Lock, mutex, topic } from "tabloom";
import { z } from "zod";
import { byId, setText } from "../page/dom.js";
import { rest } from "../page/pace.js";
import { repeatWhileOpen, showGist } from "../page/panels.js";
import { LookSchema, follow, unlessLost } from "../space.js";
import { countCall, note } from "../tabs/meter.js";
import { changeMe, lookOf, me, tabsInTouch, tellChanges } from "../tabs/presence.js";
import { showHolder, showLine, showRenewal, showSpans } from "./lock-view.js";

const RESOURCE = "token";
const TURN_MS = 3000;
const TTL_MS = 8000;
const WAIT_MS = 120_000;
const REFRESH_MS = 250;

const locks = mutex({ id: "session", defaultTtl: TTL_MS });

/** Turns asked of all tabs, and what was written under the lock: every tab reads the same order of it. */
const turns = topic({
  id: "turns",
  schema: z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("asked"), ms: z.number() }),
    z.object({ kind: z.literal("renewed"), from: LookSchema, token: z.number() }),
  ]),
  durability: "memory",
  maxLen: 200,
});

const hold = byId("hold", HTMLButtonElement);
const extend = byId("extend", HTMLButtonElement);
const autoExtend = byId("auto-extend", HTMLInputElement);
const result = byId("mutex-result", HTMLOutputElement);
let held: { lock: Lock; letGo: () => void } | undefined;

export function showMutexPanel(): void {
  byId("turn", HTMLButtonElement).addEventListener("click", () => void takeTurn(TURN_MS));
  byId("turns", HTMLButtonElement).addEventListener("click", () => {
    note("asked all tabs to renew the token at once");
    unlessLost(turns.pub({ data: { kind: "asked", ms: TURN_MS / 2 } }));
  });
  hold.addEventListener("click", () => (held ? held.letGo() : void holdIt()));
  extend.addEventListener("click", () => void extendIt());
  void follow(turns, "$", ({ data }) => data.kind === "asked" && void takeTurn(data.ms));
  void follow(turns, "0-0", ({ data, publishedAt }) => data.kind === "renewed" && showRenewal(data, publishedAt));
  repeatWhileOpen("mutex", REFRESH_MS, refresh);
  showGist("mutex", async () => {
    const { holder } = await locks.query(RESOURCE);
    return holder ? lookOf(holder.by).name : "free";
  });
}

async function refresh(): Promise<void> {
  const { holder, waiting } = await locks.query(RESOURCE);
  showHolder(holder, TTL_MS);
  showLine(waiting, tabsInTouch());
  showSpans(holder);
}

async function takeTurn(ms: number): Promise<void> {
  await underLock((lock) => rest(ms).then(() => renew(lock)));
}

async function holdIt(): Promise<void> {
  hold.disabled = true;
  await underLock(async (lock) => {
    hold.disabled = false;
    extend.disabled = autoExtend.checked;
    setText(hold, "Release it");
    await new Promise<void>((letGo) => {
      held = { lock, letGo };
      lock.signal.addEventListener("abort", () => letGo());
    });
    held = undefined;
    setText(result, lock.signal.aborted ? "It was lost: its 8 s were over." : "");
    await renew(lock);
  });
  hold.disabled = false;
  extend.disabled = true;
  setText(hold, "Hold it");
}

async function extendIt(): Promise<void> {
  if (held) setText(result, (await locks.extend(held.lock)) ? "Extended by 8 s." : "Too late: it is no longer ours.");
}

/** Waits in line, as the other tabs can see, and runs with the lock. */
async function underLock(run: (lock: Lock) => Promise<void>): Promise<void> {
  countCall();
  changeMe({ waitingSince: me.waitingSince ?? Date.now() });
  tellChanges();
  const options = { ttl: TTL_MS, waitMs: WAIT_MS, autoExtend: autoExtend.checked };
  try {
    await locks.withLock(
      RESOURCE,
      (lock) => {
        changeMe({ waitingSince: undefined });
        return run(lock);
      },
      options,
    );
  } catch (error) {
    setText(result, String(error));
  }
}

/** What the lock protects. A careful tab would ask `lock.signal` first; the fencing token protects from the others. */
async function renew({ token }: Lock): Promise<void> {
  countCall();
  await turns.pub({ data: { kind: "renewed", from: me.look, token } });
}
