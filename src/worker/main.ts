import { granted } from "../hosting/ownership.js";
import type { HubFacade } from "../protocol/frames.js";
import { parseWorkerName } from "../protocol/names.js";
import { exposeHub } from "../transport/comlink.js";
import { Hub } from "./hub.js";

/** What the library needs of a worker's global scope; the DOM types describe a window. */
interface WorkerScope {
  readonly name: string;
  addEventListener(type: "connect" | "message", listener: (event: MessageEvent) => void): void;
  postMessage(message: string): void;
  close(): void;
}

export interface StartedHub {
  readonly hub: HubFacade;
  readonly space: string;
}

/** The hub of this worker; undefined elsewhere, so that importing is safe anywhere. */
export function startHubHere(): StartedHub | undefined {
  const scope = globalThis as unknown as WorkerScope;
  if ("SharedWorkerGlobalScope" in globalThis) return startHub(scope, "connect");
  // A dedicated worker is a hub only if an elected tab named it so: an app may import this in workers of its own.
  if ("DedicatedWorkerGlobalScope" in globalThis && parseWorkerName(scope.name)) return startHub(scope, "message");
  return undefined;
}

/** Starts the hub of the space that this worker's name says, and connects every port that it is given. */
function startHub(scope: WorkerScope, portsCome: "connect" | "message"): StartedHub {
  const space = parseWorkerName(scope.name)?.space ?? "default";
  // The tab of a dedicated worker owns the space already, and makes another worker when this one is through.
  const end = (unfit?: Error): void => {
    scope.postMessage(unfit?.message ?? "");
    scope.close();
  };
  const hub = new Hub(portsCome === "connect" ? { space } : { space, claim: granted(end) });
  scope.addEventListener(portsCome, (event) => {
    for (const port of event.ports) exposeHub(hub, port);
  });
  return { hub, space };
}
