/**
 * The cases in a page, on the built package: `tabloom` is a bare import that the page's import map resolves, so that
 * what runs is what is published. A driver outside calls `conformance.run` for each name and world.
 */
import * as entry from "tabloom";
import { type Entry, type World, createWorld } from "./case.js";
import { casesOf, fullName } from "./conformance.js";

type Connect = (space: string) => ReturnType<typeof entry.connect>;
const connect: Connect = (space) => entry.connect({ space, testClock: true });
const elect: Connect = (space) => entry.connect({ space, mode: "elected-tab", testClock: true });

/** The space whose hub another page hosts, so that each call of the cases is relayed. Those of `fresh` are hosted here. */
const ELSEWHERE = "hosted-elsewhere";

/** Made at their first case and kept: a space costs a worker. */
const makers = {
  "hub+indexeddb": () => createWorld({ name: "hub+indexeddb", entry: entry as Entry, connect, durability: "relaxed" }),
  /** No payload that waits is in the hub's memory. */
  "hub+spilled": () =>
    createWorld({
      name: "hub+indexeddb",
      entry: entry as Entry,
      connect: (space) => entry.connect({ space, testClock: true, payloadBudgetBytes: 0 }),
      durability: "relaxed",
    }),
  "hub+memory": () => createWorld({ name: "hub+memory", entry: entry as Entry, connect, durability: "memory" }),
  "elected+indexeddb": () =>
    createWorld({ name: "elected+indexeddb", entry: entry as Entry, connect: elect, durability: "relaxed" }, ELSEWHERE),
};

type WorldName = keyof typeof makers;

const worlds = new Map<WorldName, World>();

function worldOf(name: WorldName): World {
  let world = worlds.get(name);
  if (world === undefined) {
    world = makers[name]();
    worlds.set(name, world);
  }
  return world;
}

export interface Conformance {
  worlds(): WorldName[];
  /** Full names of the cases, in order. */
  names(): string[];
  /** By full name: why a case does not run on this world. */
  skips(world: WorldName): Record<string, string>;
  /** Rejects when the case fails. */
  run(name: string, world: WorldName): Promise<void>;
  /** Hosts the hub of another page's "elected+indexeddb". */
  host(): Promise<void>;
}

const conformance: Conformance = {
  worlds: () => Object.keys(makers) as WorldName[],
  names: () => casesOf().map(fullName),
  skips: (world) => {
    const skipped = casesOf().filter(({ skip }) => skip[world] !== undefined);
    return Object.fromEntries(
      skipped.map((conformanceCase) => [fullName(conformanceCase), conformanceCase.skip[world]!]),
    );
  },
  async run(name, world) {
    const found = casesOf().find((conformanceCase) => fullName(conformanceCase) === name);
    if (found === undefined) throw new Error(`there is no case "${name}"`);
    await found.run(worldOf(world));
  },
  async host() {
    await entry.inspect(elect(ELSEWHERE)).instances();
  },
};

declare global {
  var conformance: Conformance;
}

globalThis.conformance = conformance;
