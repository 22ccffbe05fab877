/** What a tab loads when it takes part in electing one that hosts the hub. */
import type { Dialer } from "./client/dialer.js";
import { type HostedHub, electedTabDialer, hostInWorker, lazyLink } from "./client/elected-tab.js";
import type { HubOptions } from "./client/hub-backend.js";

export function electedDialer({ space = "default", dedicatedWorker = defaultWorker }: HubOptions): Dialer {
  let workersWork = true;
  const onError = (): void => {
    workersWork = false;
    dialer.remark = "the worker's script could not be loaded, so that this tab hosts the hub in its own thread";
  };
  const host = (name: string): HostedHub => {
    if (!workersWork) return hostHere(space);
    try {
      return hostInWorker(dedicatedWorker({ name }), onError);
    } catch {
      onError();
      return hostHere(space);
    }
  };
  const dialer = electedTabDialer({ space, host });
  return dialer;
}

function defaultWorker({ name }: { name: string }): Worker {
  return new Worker(__WORKER_URL__, { type: "module", name });
}

/** The hub in this thread: slower, but where the page's policy forbids workers the tabs still share one. */
function hostHere(space: string): HostedHub {
  let end!: (unfit?: string) => void;
  const ended = new Promise<string | undefined>((resolve) => (end = resolve));
  const hub = import("./hub-here.js").then(({ hubHere }) => hubHere({ space, onEnd: (unfit) => end(unfit?.message) }));
  return {
    connect: () => lazyLink(hub.then((link) => ({ ...link, close() {} }))),
    ended,
    end() {
      end();
      void hub.then(({ close }) => close());
    },
  };
}
