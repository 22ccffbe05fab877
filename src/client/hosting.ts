import { TabloomError } from "../protocol/errors.js";
import type { HubLink } from "../transport/comlink.js";
import { type Dialer, type Hosting, type HostingMode, WayClosed } from "./dialer.js";
import type { HubOptions } from "./hub-backend.js";
import { oneOf } from "./ranges.js";
import { sharedWorkerDialer } from "./shared-worker.js";

/** Parts that only some tabs need, loaded when they do. */
export interface HostingParts {
  elected(): Promise<{ electedDialer(options: HubOptions): Dialer }>;
  here(): Promise<{ hubHere(options: { space: string; alone: true; onEnd(): void }): HubLink }>;
}

/** The ways in which a tab of a web app reaches a hub. */
export function hubHosting(options: HubOptions, parts: HostingParts): Hosting {
  const { space = "default", mode, worker, workerType } = options;
  const ways: Record<HostingMode, () => Dialer | Promise<Dialer>> = {
    "shared-worker": () => sharedWorkerDialer(worker, workerType),
    "elected-tab": async () => {
      // Without: an insecure origin. There, but refused: an opaque one.
      const locks = await navigator.locks?.query().catch(() => undefined);
      if (!locks) throw new WayClosed("without Web Locks tabs cannot elect one of them");
      return (await parts.elected()).electedDialer(options);
    },
    async "single-tab"() {
      const hub = (await parts.here()).hubHere({ space, alone: true, onEnd() {} });
      const link: HubLink = { ...hub, close() {} };
      return {
        mode: "single-tab",
        dial: () => ({ link, failed: new Promise<never>(() => {}) }),
        close: () => hub.close(),
      };
    },
  };
  if (mode !== undefined) oneOf("mode", mode, Object.keys(ways) as HostingMode[]);
  return { assertAvailable, ways: mode ? [ways[mode]] : Object.values(ways) };
}

function assertAvailable(): void {
  if (typeof document === "object") return;
  throw new TabloomError(
    "UNAVAILABLE",
    'tabloom needs a window here; on a server, in tests and in one tab use "tabloom/memory"',
  );
}
