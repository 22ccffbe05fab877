import { BroadcastChannel as Channel, type BroadcastMethod } from "broadcast-channel";

/** The one file that knows broadcast-channel: texts to every other listener of this origin, best effort. */

interface State {
  channel: BroadcastChannel;
  listener: ((message: unknown) => void) | null;
}

/**
 * The browser's own channel, with a clock that stands still: the library drops messages that are stamped earlier than
 * the listener was added, and clocks step back.
 */
const method: BroadcastMethod<State> = {
  type: "native",
  microSeconds: () => 1,
  canBeUsed: () => typeof globalThis.BroadcastChannel === "function",
  averageResponseTime: () => 0,
  create(name) {
    const state: State = { channel: new globalThis.BroadcastChannel(name), listener: null };
    state.channel.onmessage = (event) => state.listener?.(event.data);
    return state;
  },
  close(state) {
    state.channel.close();
  },
  onMessage(state, listener) {
    state.listener = listener;
  },
  postMessage(state, message) {
    state.channel.postMessage(message);
    return Promise.resolve();
  },
};

export interface Broadcast {
  post(text: string): void;
  close(): void;
}

/** Joins a channel. A listener that throws disturbs nobody; what is not a text is not ours. */
export function joinBroadcast(name: string, listener?: (text: string) => void): Broadcast {
  const channel = new Channel<string>(name, { methods: [method as BroadcastMethod] });
  if (listener) {
    channel.onmessage = (text: unknown) => {
      if (typeof text !== "string") return;
      try {
        listener(text);
      } catch (error) {
        reportError(error);
      }
    };
  }
  return {
    post(text) {
      // A hint that is lost is made up for by the numbers of the next one.
      if (!channel.isClosed) channel.postMessage(text).catch(() => {});
    },
    close() {
      void channel.close();
    },
  };
}
