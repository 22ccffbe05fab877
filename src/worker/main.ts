import type { HubFacade } from "../protocol/frames.js";
import { parseWorkerName } from "../protocol/names.js";
import { exposeHub } from "../transport/comlink.js";
import { Hub } from "./hub.js";

/** What the library needs of a SharedWorker's global scope; the DOM types describe a window. */
interface SharedWorkerScope {
  readonly name: string;
  addEventListener(type: "connect", listener: (event: MessageEvent) => void): void;
}

export interface StartedHub {
  readonly hub: HubFacade;
  readonly space: string;
}

/** The hub of this worker; undefined elsewhere, so that importing is safe anywhere. */
export function startHubHere(): StartedHub | undefined {
  return "SharedWorkerGlobalScope" in globalThis ? startHub(globalThis as unknown as SharedWorkerScope) : undefined;
}

/** Starts the hub of the space that this worker's name says, and connects every tab that asks. */
function startHub(scope: SharedWorkerScope): StartedHub {
  const space = parseWorkerName(scope.name)?.space ?? "default";
  const hub = new Hub(space);
  scope.addEventListener("connect", (event) => {
    for (const port of event.ports) exposeHub(hub, port);
  });
  return { hub, space };
}
