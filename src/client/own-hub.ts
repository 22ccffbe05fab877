import { TabloomError } from "../protocol/errors.js";
import type { HubFacade } from "../protocol/frames.js";
import type { Dialer } from "./dialer.js";

/** To the hub of this very worker; without one, calls reject. */
export function ownDialer(hub: HubFacade | undefined): Dialer {
  return {
    own: true,
    assertAvailable() {
      if (hub === undefined)
        throw new TabloomError("UNAVAILABLE", '"tabloom/worker" is for the file of a SharedWorker');
    },
    dial: () => ({
      link: { call: (frame) => hub!.call(frame), pull: (tab) => hub!.pull(tab), close() {} },
      failed: new Promise<never>(() => {}),
    }),
  };
}
