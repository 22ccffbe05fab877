import type { Port } from "../client/backend.js";
import type { CommandName, Kind } from "../protocol/commands.js";
import type { RedisKind } from "./script.js";

/** What this process was given at an instance and must hand back at the end. */
export class Taken {
  readonly #tracks: RedisKind<Kind>["tracks"];
  readonly #ids = new Set<string>();

  constructor(tracks: RedisKind<Kind>["tracks"]) {
    this.#tracks = tracks;
  }

  /** A command has its answer. */
  note(op: CommandName, body: unknown, reply: unknown): void {
    if (this.#tracks === undefined) return;
    for (const id of this.#tracks.taken(op, reply)) this.#ids.add(id);
    for (const id of this.#tracks.settled(op, body)) this.#ids.delete(id);
  }

  async handBack(port: Port): Promise<void> {
    if (this.#ids.size > 0) await this.#tracks?.handBack(port, [...this.#ids]);
  }
}
