import type { InstanceName, Kind } from "./commands.js";

/** The wire between a tab and a hub. Another major: the two do not understand each other. */
export const PROTOCOL = 1;
/** The layout of the database. Grows with every migration. */
export const SCHEMA = 2;

/** One text per instance; names never collide, whatever characters they hold. */
export function instanceKey({ prefix, kind, tenantId, id }: InstanceName): string {
  return JSON.stringify([prefix, kind, tenantId, id]);
}

export function parseInstanceKey(key: string): InstanceName {
  const [prefix, kind, tenantId, id] = JSON.parse(key) as [string, Kind, string, string];
  return { prefix, kind, tenantId, id };
}

/** How well a hub may own a space: the layout of the database that it knows, then the version of its code. */
export interface Rank {
  readonly schema: number;
  readonly version: string;
}

export interface Candidate extends Rank {
  readonly id: string;
}

/** How a worker was loaded; two ways under one name and address make the browser fire `error`. */
export type WorkerType = "module" | "classic";

const root = (space: string): string => `tabloom:${encodeURIComponent(space)}`;

/** Every name that tabs and hubs share, spelled once. A tab id already contains its incarnation. */
export const names = {
  worker: (space: string, type: WorkerType, generation: number) =>
    `${root(space)}:p${PROTOCOL}.s${SCHEMA}.${type}.g${generation}`,
  /** Held by the one hub that may write this space's database. */
  ownerLock: (space: string) => `${root(space)}:owner`,
  /** Held by a hub as long as it lives; tabs learn of its death by getting it. */
  hubLock: (space: string, epoch: string) => `${root(space)}:hub/${epoch}`,
  /** Held by a tab as long as it lives; the hub learns of its death by getting it. */
  tabLock: (space: string, tabId: string) => `${root(space)}:tab/${tabId}`,
  /** Held by each hub that could own the space: what it says of itself in the queue for the owner lock. */
  candidateLock: (space: string, candidate: Candidate) => {
    const { schema, version, id } = candidate;
    return `${root(space)}:candidate/${schema}/${version}/${id}`;
  },
  /** Where frames for one hub or tab arrive that has no port to the sender. */
  inbox: (space: string, address: string) => `${root(space)}:to/${address}`,
  /** Events of instances that some tab listens to. */
  eventChannel: (space: string) => `${root(space)}:events`,
  /** Hubs asking each other for a sign of life, and tabs announcing a new worker generation. */
  controlChannel: (space: string) => `${root(space)}:control`,
  database: (space: string) => root(space),
  /** Empty; deleted to make the browser give room back. */
  spareDatabase: (space: string) => `${root(space)}:spare`,
  /** Held by the one engine that uses localStorage under this prefix. */
  storeLock: (prefix: string) => `tabloom-store:${prefix}`,
  /** In front of every key that an engine keeps in a user's store. Its layout has versions of its own. */
  storeRoot: "tabloom/1/",
} as const;

/** What the name of a candidate's lock says; undefined for any other lock of this or another space. */
export function parseCandidateLock(space: string, name: string): Candidate | undefined {
  const prefix = `${root(space)}:candidate/`;
  if (!name.startsWith(prefix)) return undefined;
  const [schema, version, id] = name.slice(prefix.length).split("/");
  return version && id ? { schema: Number(schema), version, id } : undefined;
}

/** The space in a worker's name, and its generation. */
export function parseWorkerName(name: string): { space: string; generation: number } | undefined {
  const match = /^tabloom:([^:]+):p\d+\.s\d+\.(?:module|classic)\.g(\d+)$/.exec(name);
  if (!match) return undefined;
  return { space: decodeURIComponent(match[1]!), generation: Number(match[2]) };
}
