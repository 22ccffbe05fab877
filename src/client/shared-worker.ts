import type { WorkerType } from "../protocol/names.js";
import { connectHub } from "../transport/comlink.js";
import { type Dialer, WayClosed } from "./dialer.js";

/** To the hub in a SharedWorker. */
export function sharedWorkerDialer(
  make: (options: { name: string; type: WorkerType }) => SharedWorker = defaultWorker,
  type: WorkerType = "module",
): Dialer {
  return {
    mode: "shared-worker",
    type,
    dial(name) {
      let shared: SharedWorker;
      try {
        shared = make({ name, type });
      } catch (cause) {
        throw new WayClosed("no SharedWorker here", { cause });
      }
      const failed = new Promise<never>((_, reject) => {
        shared.addEventListener("error", () => reject(new WayClosed("the SharedWorker's script could not be loaded")));
      });
      return { link: connectHub(shared.port), failed };
    },
  };
}

function defaultWorker({ name }: { name: string }): SharedWorker {
  return new SharedWorker(__WORKER_URL__, { type: "module", name });
}
