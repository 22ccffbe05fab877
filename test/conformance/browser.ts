/**
 * The cases in a page, on the built package: `tabloom` is a bare import that the page's import map resolves, so that
 * what runs is what is published. A driver outside calls `conformance.run` for each name and world.
 */
import * as entry from "tabloom";
import { type Entry, type World, createWorld } from "./case.js";
import { casesOf, fullName } from "./conformance.js";

const connect = (space: string): ReturnType<typeof entry.connect> => entry.connect({ space, testClock: true });

/** Made at their first case and kept: a space costs a worker. */
const makers = {
  "hub+indexeddb": () => createWorld({ name: "hub+indexeddb", entry: entry as Entry, connect, durability: "relaxed" }),
  "hub+memory": () => createWorld({ name: "hub+memory", entry: entry as Entry, connect, durability: "memory" }),
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
};

declare global {
  var conformance: Conformance;
}

globalThis.conformance = conformance;
