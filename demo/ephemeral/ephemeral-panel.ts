import { type EphemeralEntry, ephemeral } from "tabloom";
import { z } from "zod";
import { followEntries } from "../live-entries.js";
import { byId, el, setText, showList } from "../page/dom.js";
import { plural } from "../page/format.js";
import { repeatWhileOpen, showGist } from "../page/panels.js";
import { LookSchema, unlessLost } from "../space.js";
import { countCall } from "../tabs/meter.js";
import { me } from "../tabs/presence.js";

const POINTER_TTL_MS = 5000;
const PIN_TTL_MS = 10_000;
/** Pointers move more often than others can see. */
const MOVE_MS = 40;
const REFRESH_MS = 100;

const MarkSchema = z.object({
  kind: z.enum(["pointer", "pin"]),
  from: LookSchema,
  /** Shares of the pad's width and height. */
  x: z.number(),
  y: z.number(),
});
type Mark = EphemeralEntry<z.infer<typeof MarkSchema>>;

const marks = ephemeral({ id: "pad", schema: MarkSchema, ttlMs: POINTER_TTL_MS, durability: "memory" });
const pointerKey = `pointer/${me.page}`;

const pad = byId("pad", HTMLDivElement);
const list = byId("ephemeral-entries", HTMLUListElement);
let shown: readonly Mark[] = [];
let movedAt = 0;

export function showEphemeralPanel(): void {
  pad.addEventListener("pointermove", move);
  pad.addEventListener("pointerleave", () => unlessLost(marks.remove({ key: pointerKey, reason: "left the pad" })));
  pad.addEventListener("click", (event) => {
    countCall();
    unlessLost(marks.upsert({ key: `pin/${crypto.randomUUID()}`, value: markAt(event, "pin"), ttlMs: PIN_TTL_MS }));
  });
  void followEntries(
    { snapshot: () => marks.snapshot(), changesAfter: (cursor) => marks.reader({ after: cursor }).stream() },
    (entries) => {
      shown = [...entries.values()];
      showList(pad, shown, { key: ({ key }) => key, create: createMark, update: updateMark });
    },
  );
  repeatWhileOpen("ephemeral", REFRESH_MS, showEntries);
  showGist("ephemeral", () => plural(shown.length, "mark"));
}

function move(event: PointerEvent): void {
  if (event.timeStamp - movedAt < MOVE_MS) return;
  movedAt = event.timeStamp;
  unlessLost(marks.upsert({ key: pointerKey, value: markAt(event, "pointer"), bound: "tab" }));
}

function markAt({ clientX, clientY }: MouseEvent, kind: "pointer" | "pin"): Mark["value"] {
  const { left, top, width, height } = pad.getBoundingClientRect();
  return { kind, from: me.look, x: (clientX - left) / width, y: (clientY - top) / height };
}

function createMark({ key, value }: Mark): HTMLElement {
  const mine = key === pointerKey;
  const mark = el("div", { class: `mark ${value.kind}`, "data-mine": mine }, el("i"), el("span", {}, value.from.name));
  mark.style.setProperty("--tab", value.from.colour);
  return mark;
}

function updateMark(mark: HTMLElement, { value, expiresAt }: Mark): void {
  mark.style.left = `${value.x * 100}%`;
  mark.style.top = `${value.y * 100}%`;
  if (value.kind === "pin") mark.style.animationDelay = `${expiresAt - Date.now() - PIN_TTL_MS}ms`;
}

function showEntries(): void {
  list.classList.toggle("empty", shown.length === 0);
  showList(list, shown, { key: ({ key }) => key, create: createEntry, update: updateEntry });
}

function createEntry({ key, value }: Mark): HTMLElement {
  const name = el(
    "span",
    { class: "entry-key", title: key },
    el("i", { class: "dot" }),
    `${value.kind}/${value.from.name}`,
  );
  const entry = el("li", {}, name, el("small"), el("span", { class: "lease-bar" }, el("i")));
  entry.style.setProperty("--tab", value.from.colour);
  return entry;
}

function updateEntry(entry: HTMLElement, { value, version, expiresAt }: Mark): void {
  const leftMs = Math.max(0, expiresAt - Date.now());
  const bound = value.kind === "pointer" ? " · bound to its tab" : "";
  setText(entry.children[1]!, `version ${version} · ${(leftMs / 1000).toFixed(1)} s${bound}`);
  const bar = entry.querySelector(".lease-bar i");
  const ttlMs = value.kind === "pin" ? PIN_TTL_MS : POINTER_TTL_MS;
  if (bar instanceof HTMLElement) bar.style.transform = `scaleX(${Math.min(1, leftMs / ttlMs)})`;
}
