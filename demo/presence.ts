import { freeLook, type Look, rememberLook, rememberedLook } from "./looks.js";
import { type Here, type Presence, backend, follow, presence } from "./space.js";

/** A tab that went silent without a goodbye has this long to answer a roll call. */
const ANSWER_MS = 900;

export interface Neighbour extends Here {
  /** When it last said so, by this page's clock. */
  heardAt: number;
  /** The hub still counts it, and it does not answer: frozen, or deep in the background. */
  quiet: boolean;
}

/** This page. A reload is another page in the same tab. */
export const me: Here = {
  kind: "here",
  page: crypto.randomUUID(),
  since: Date.now(),
  look: rememberedLook() ?? freeLook(new Set()),
  working: true,
  handled: 0,
};

const neighbours = new Map<string, Neighbour>();
const listeners = new Set<() => void>();
let changed = false;

/** All tabs that are there, this one included, oldest first. */
export function tabsInTouch(): Neighbour[] {
  return [...neighbours.values()].toSorted((a, b) => a.since - b.since);
}

/** The tab behind the name that the hub gives it. */
export function tabHolding(holder: string | undefined): Neighbour | undefined {
  return holder === undefined ? undefined : tabsInTouch().find((tab) => tab.holder === holder);
}

export function onTabs(listener: () => void): void {
  listeners.add(listener);
}

/** Changes what the others see of this tab; they hear of it with the next `tellChanges`. */
export function changeMe(change: Partial<Pick<Here, "look" | "working" | "handled" | "holder">>): void {
  Object.assign(me, change);
  changed = true;
}

export function tellChanges(): void {
  if (changed) announce();
}

/** Joins the others: says who is here, hears who else is, and keeps both up to date. */
export function joinTabs(): void {
  void follow(presence, "$", ({ data }) => hear(data));
  rememberLook(me.look);
  tell({ kind: "who" });
  let { tabs, epoch } = backend.status;
  backend.onStatus((status) => {
    if (status.tabs === tabs && status.epoch === epoch) return;
    ({ tabs, epoch } = status);
    rollCall();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") tell({ kind: "who" });
  });
  addEventListener("pagehide", () => tell({ kind: "bye", page: me.page }));
  addEventListener("pageshow", ({ persisted }) => persisted && tell({ kind: "who" }));
}

function tell(data: Presence): void {
  // A hub that dies takes these with it; the next one starts with a roll call.
  presence.pub({ data }).catch(() => {});
}

function announce(): void {
  changed = false;
  tell({ ...me });
}

/** A tab came or went, or the hub is a new one: every tab says that it is here; who does not is gone. */
function rollCall(): void {
  const askedAt = performance.now();
  announce();
  setTimeout(() => {
    const silent = tabsInTouch().filter((tab) => tab.heardAt < askedAt && tab.page !== me.page);
    const quiet = Math.max(0, backend.status.tabs - (neighbours.size - silent.length));
    const byHeard = silent.toSorted((a, b) => b.heardAt - a.heardAt);
    for (const [index, tab] of byHeard.entries()) {
      if (index < quiet) tab.quiet = true;
      else neighbours.delete(tab.page);
    }
    report();
  }, ANSWER_MS);
}

function hear(data: Presence): void {
  switch (data.kind) {
    case "who":
      announce();
      return;
    case "bye":
      neighbours.delete(data.page);
      break;
    case "here":
      yieldLook(data);
      neighbours.set(data.page, { ...data, heardAt: performance.now(), quiet: false });
      break;
  }
  report();
}

/** Two tabs that look alike (a duplicated one): the younger takes another look. */
function yieldLook(other: Here): void {
  const twins = other.page !== me.page && other.look.name === me.look.name;
  const younger = other.since < me.since || (other.since === me.since && other.page < me.page);
  if (!twins || !younger) return;
  const taken = new Set(tabsInTouch().map(({ look }) => look.name)).add(other.look.name);
  const look: Look = freeLook(taken);
  rememberLook(look);
  changeMe({ look });
  announce();
}

function report(): void {
  for (const listener of listeners) listener();
}
