import type { Look } from "../space.js";

/** The initials differ: they begin the codes of a tab's jobs. */
const LOOKS: readonly Look[] = [
  { name: "Indigo Heron", colour: "#6b6ff2" },
  { name: "Teal Otter", colour: "#14a89b" },
  { name: "Amber Fox", colour: "#e79a0c" },
  { name: "Rose Finch", colour: "#ee5276" },
  { name: "Violet Moth", colour: "#9a63f0" },
  { name: "Olive Toad", colour: "#86a017" },
  { name: "Sky Tern", colour: "#1f9fe0" },
  { name: "Coral Newt", colour: "#f2734e" },
  { name: "Plum Bat", colour: "#c44bc9" },
  { name: "Moss Owl", colour: "#4aa05f" },
];

const KEY = "playground:look";

/** A look that none of these tabs has; with more tabs than looks, one with a number. */
export function freeLook(taken: ReadonlySet<string>): Look {
  for (let round = 1; ; round++) {
    const named = LOOKS.map(({ name, colour }) => ({ name: round === 1 ? name : `${name} ${round}`, colour }));
    const free = named.filter(({ name }) => !taken.has(name));
    const picked = free[Math.floor(Math.random() * free.length)];
    if (picked) return picked;
  }
}

/** What this tab wore before it was reloaded. */
export function rememberedLook(): Look | undefined {
  const stored = JSON.parse(sessionStorage.getItem(KEY) ?? "null") as Partial<Look> | null;
  return stored?.name && stored.colour ? { name: stored.name, colour: stored.colour } : undefined;
}

export function rememberLook(look: Look): void {
  sessionStorage.setItem(KEY, JSON.stringify(look));
}
