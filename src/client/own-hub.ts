import { TabloomError } from "../protocol/errors.js";
import type { HubFacade } from "../protocol/frames.js";
import type { Hosting } from "./dialer.js";

/** To the hub of this very worker; without one, calls reject. */
export function ownHosting(hub: HubFacade | undefined): Hosting {
  return {
    assertAvailable() {
      if (hub === undefined)
        throw new TabloomError("UNAVAILABLE", '"tabloom/worker" is for the file of a SharedWorker');
    },
    ways: [
      () => ({
        mode: "shared-worker",
        own: true,
        dial: () => ({
          link: { call: (frame) => hub!.call(frame), pull: (tab) => hub!.pull(tab), close() {} },
          failed: new Promise<never>(() => {}),
        }),
      }),
    ],
  };
}
