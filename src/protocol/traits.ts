/**
 * What a re-sent command may do to a hub that may have run it before.
 * - `once`: has an effect; the hub must know whether it ran.
 * - `rerun`: reads, claims that find their own lease, and settings that are the same when made twice.
 */
export type Resend = "once" | "rerun";

export interface CommandTraits {
  readonly resend: Resend;
  /** Writes more than it removes: refused while the origin's storage is full. */
  readonly grows: boolean;
}

export const read: CommandTraits = { resend: "rerun", grows: false };
export const shrink: CommandTraits = { resend: "once", grows: false };
export const grow: CommandTraits = { resend: "once", grows: true };
