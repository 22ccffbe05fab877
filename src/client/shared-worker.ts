import { TabloomError } from "../protocol/errors.js";
import { connectHub } from "../transport/comlink.js";
import type { Dialer } from "./dialer.js";

/** To the hub in a SharedWorker. */
export function sharedWorkerDialer(make: (options: { name: string }) => SharedWorker = defaultWorker): Dialer {
  return {
    assertAvailable: assertBrowser,
    dial(name) {
      const shared = make({ name });
      const failed = new Promise<never>((_, reject) => {
        shared.addEventListener("error", () =>
          reject(new TabloomError("UNAVAILABLE", "the worker script could not be loaded", { retryable: true })),
        );
      });
      return { link: connectHub(shared.port), failed };
    },
  };
}

function defaultWorker({ name }: { name: string }): SharedWorker {
  return new SharedWorker(__WORKER_URL__, { type: "module", name });
}

function assertBrowser(): void {
  const missing = [
    typeof document === "object" ? "" : "a window",
    typeof SharedWorker === "function" ? "" : "SharedWorker",
    typeof navigator === "object" && "locks" in navigator ? "" : "Web Locks (a secure context)",
  ].filter(Boolean);
  if (missing.length === 0) return;
  throw new TabloomError(
    "UNAVAILABLE",
    `tabloom needs ${missing.join(", ")} here; on a server, in tests and in one tab use "tabloom/memory"`,
  );
}
