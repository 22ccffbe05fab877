import type { Call } from "../engine/call.js";
import { commandTraits } from "../protocol/commands.js";
import type { WireReply } from "../protocol/frames.js";
import type { Session } from "./session.js";

/** A frame that was received, and the answers it gets back as the result of its own Comlink call. */
export interface Exchange {
  open: boolean;
  readonly replies: WireReply[];
  resolve(text: string): void;
}

export interface HubCall extends Call {
  readonly session: Session;
  /** The incarnation that asked last. */
  owner: string;
  exchange: Exchange;
  reply: WireReply | undefined;
  /** Its outcome is among those that the next commit keeps. */
  noted: boolean;
}

/** Whether running it a second time would do it twice. */
export function takesEffectOnce({ op }: HubCall): boolean {
  return commandTraits[op].resend === "once";
}
