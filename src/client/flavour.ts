import { TabloomError } from "../protocol/errors.js";
import type { Backend } from "./backend.js";
import type { Store } from "./store.js";

/** An entry of the package: the same factories over its own default backend. */
export interface Flavour {
  /** The backend that handles without one of their own use from now on. */
  bind(): Backend;
  /** The backend over a user's store: one per store. Only the memory flavour has such. */
  bindStore(store: Store): Backend;
  /** Makes this the default; throws once a handle has used the default. */
  connect<B extends Backend>(make: () => B): B;
}

export function createFlavour(makeDefault: () => Backend, bindStore: (store: Store) => Backend = noStores): Flavour {
  let current: Backend | undefined;
  let bound = false;
  return {
    bindStore,
    bind() {
      bound = true;
      return (current ??= makeDefault());
    },
    connect(make) {
      if (bound && current?.status.state !== "closed") {
        throw new TabloomError(
          "CONFLICT",
          "connect() must come before the first call on the default backend; pass `backend` to use another",
        );
      }
      const backend = make();
      current = backend;
      bound = false;
      return backend;
    },
  };
}

function noStores(): never {
  throw new TabloomError("UNAVAILABLE", "`store` is for tabloom/memory; this entry has a backend of its own");
}
