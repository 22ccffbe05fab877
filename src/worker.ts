/**
 * The hub's SharedWorker entry. Import it in a worker file of your own to host the hub there:
 *
 * @example
 * // hub.ts
 * import "tabloom/worker";
 * // app.ts
 * connect({ worker: ({ name }) => new SharedWorker(new URL("./hub.ts", import.meta.url), { type: "module", name }) });
 */
import { startHub } from "./worker/main.js";

// Importing is safe anywhere; only a SharedWorker becomes a hub.
if (typeof globalThis === "object" && "SharedWorkerGlobalScope" in globalThis) startHub(globalThis as never);
