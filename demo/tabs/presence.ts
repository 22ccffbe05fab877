import { ephemeral } from "tabloom";
import { z } from "zod";
import { followEntries } from "../live-entries.js";
import { repeat } from "../page/pace.js";
import { type Look, LookSchema, backend, unlessLost } from "../space.js";
import { freeLook, rememberLook, rememberedLook } from "./looks.js";

const SIGN_OF_LIFE_MS = 3000;
/** Who has given no sign of life for this long is frozen, or deep in the background. */
const QUIET_MS = 8000;
const TTL_MS = 60_000;

const HereSchema = z.object({
  /** A reload is another page in the same tab. */
  page: z.string(),
  since: z.number(),
  look: LookSchema,
  working: z.boolean(),
  handled: z.number(),
  /** Under which name the hub knows this tab. */
  tabId: z.string(),
  /** Since when it waits for the lock. */
  waitingSince: z.number().optional(),
});
type Here = z.infer<typeof HereSchema>;

export interface Neighbour extends Here {
  /** The hub still counts it, and it gives no sign of life. */
  quiet: boolean;
}

/** Which tabs are there: each has an entry that ends with it, whether it says goodbye or not. */
const tabs = ephemeral({ id: "tabs", schema: HereSchema, ttlMs: TTL_MS, durability: "memory" });

/** This page. */
export const me: Here = {
  page: crypto.randomUUID(),
  since: Date.now(),
  look: rememberedLook() ?? freeLook(new Set()),
  working: true,
  handled: 0,
  tabId: backend.status.tabId,
};

const UNKNOWN: Look = { name: "A tab", colour: "var(--muted)" };

const listeners = new Set<() => void>();
let neighbours: Neighbour[] = [];
let changed = true;

/** All tabs that are there, this one included, oldest first. */
export function tabsInTouch(): readonly Neighbour[] {
  return neighbours;
}

/** The tab behind the name that the hub gives it. */
export function tabHolding(tabId: string | undefined): Neighbour | undefined {
  return tabId === undefined ? undefined : neighbours.find((tab) => tab.tabId === tabId);
}

export function lookOf(tabId: string | undefined): Look {
  return tabHolding(tabId)?.look ?? UNKNOWN;
}

export function onTabs(listener: () => void): void {
  listeners.add(listener);
}

/** Changes what the others see of this tab; they hear of it with the next `tellChanges`. */
export function changeMe(change: Partial<Pick<Here, "look" | "working" | "handled" | "tabId" | "waitingSince">>): void {
  Object.assign(me, change);
  changed = true;
}

export function tellChanges(): void {
  if (changed) announce();
}

/** Joins the others: says who is here, hears who else is, and keeps both up to date. */
export function joinTabs(): void {
  rememberLook(me.look);
  void followEntries(
    {
      snapshot: () => tabs.snapshot(),
      changesAfter: (cursor) => tabs.reader({ after: cursor }).stream(),
    },
    (entries) => hear([...entries.values()]),
  );
  backend.onStatus(({ tabId }) => {
    if (tabId !== me.tabId) changeMe({ tabId });
    tellChanges();
  });
  announce();
  void repeat(SIGN_OF_LIFE_MS, announce);
}

function announce(): void {
  changed = false;
  unlessLost(tabs.upsert({ key: me.page, value: me, bound: "tab" }));
}

function hear(entries: readonly { value: Here; updatedAt: number }[]): void {
  const now = Date.now();
  neighbours = entries
    .map(({ value, updatedAt }) => ({ ...value, quiet: now - updatedAt > QUIET_MS }))
    .toSorted((a, b) => a.since - b.since);
  for (const tab of neighbours) yieldLook(tab);
  for (const listener of listeners) listener();
}

/** Two tabs that look alike (a duplicated one): the younger takes another look. */
function yieldLook(other: Here): void {
  const twins = other.page !== me.page && other.look.name === me.look.name;
  const younger = other.since < me.since || (other.since === me.since && other.page < me.page);
  if (!twins || !younger) return;
  const look = freeLook(new Set(neighbours.map((tab) => tab.look.name)));
  rememberLook(look);
  changeMe({ look });
  tellChanges();
}
