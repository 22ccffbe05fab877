import type { Control } from "../protocol/control.js";
import { names } from "../protocol/names.js";
import { joinBroadcast } from "../transport/broadcast.js";

/** The control channel of a space. */
export interface ControlChannel {
  say(message: Control): void;
  close(): void;
}

export function joinControl(space: string, hear: (message: Control) => void): ControlChannel {
  const channel = joinBroadcast(names.controlChannel(space), (text) => hear(JSON.parse(text) as Control));
  return {
    say: (message) => channel.post(JSON.stringify(message)),
    close: () => channel.close(),
  };
}
