import type { Rank } from "./names.js";

/** A hub that owns its space, and where it is reached. */
export interface Owner {
  /** Its address for frames that come through the channel. */
  epoch: string;
  /** Names its liveness lock. */
  hubId: string;
}

/**
 * What the hubs and tabs of a space call to each other. Builds of every version hear it: messages are only ever added,
 * and fields to messages.
 */
export type Control =
  /** Who owns this space? `rank`: of one that would like to. */
  | { ask: "owner"; rank?: Rank }
  | { owner: Owner }
  /** The answer of a tab that holds the owner lock and whose hub is on its way: nobody need take it from there. */
  | { starting: true }
  /** The database has to be changed for this version of its layout: who knows only older ones, let it go. */
  | { wanted: number }
  /** A tab gave a worker up that does not answer, and went on to the next generation. */
  | { generation: number };
