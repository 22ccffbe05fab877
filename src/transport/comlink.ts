import { type Endpoint, expose, transferHandlers, wrap } from "comlink";
import { fromWire, toWire, type WireError } from "../protocol/errors.js";
import type { HubFacade } from "../protocol/frames.js";

/** The one file that knows Comlink: a typed facade of two flat methods, JSON text both ways. */

interface Thrown {
  value: unknown;
}

// Errors keep class, code, fields and cause; Comlink's own handler keeps name and message only.
const comlinkThrow = transferHandlers.get("throw")!;
transferHandlers.set("throw", {
  canHandle: (value: unknown): value is Thrown => comlinkThrow.canHandle(value),
  serialize: ({ value }: Thrown): [WireError, Transferable[]] => [toWire(value), []],
  deserialize: (wire: WireError): never => {
    throw fromWire(wire);
  },
});

export function exposeHub(hub: HubFacade, port: MessagePort): void {
  expose({ call: (frame: string) => hub.call(frame), pull: (tab: string) => hub.pull(tab) }, port);
}

export interface HubLink extends HubFacade {
  close(): void;
}

export function connectHub(port: MessagePort): HubLink {
  const root = wrap<HubFacade>(port as Endpoint);
  // Each property access makes a proxy, and a collected proxy closes the port under a running call: keep these.
  const { call, pull } = root;
  return {
    call: (frame) => call(frame) as Promise<string>,
    pull: (tab) => pull(tab) as Promise<string>,
    close: () => {
      port.close();
      void root;
    },
  };
}
