// What a hub stands on, in the hands of a test: its clock, its database, its life. Loaded into the worker before the hub.
// Faults that a browser cannot be made to have are made here, at the outermost edge: the hub sees what it would see.
const asked = new URLSearchParams(location.search);
const channel = new BroadcastChannel(`edge/${asked.get("space")}`);

/** What is to go wrong; each fault is used up when it happened. */
const faults = { dieAfterCommits: 0, dieInCommits: 0, failCommits: 0, full: false, dieAfterSlices: 0 };

const commands = {
  stepMs: (ms) => {
    const now = Date.now;
    Date.now = () => now() + ms;
  },
  hangMs: (ms) => {
    const until = performance.now() + ms;
    while (performance.now() < until);
  },
  faults: (set) => Object.assign(faults, set),
};

const done = new Set();

channel.onmessage = ({ data: { id, close, ...command } }) => {
  if (id === undefined || done.has(id)) return;
  done.add(id);
  // Before a hang, for whoever asked for it wants to see it hang.
  channel.postMessage({ done: id });
  for (const [name, value] of Object.entries(command)) commands[name](value);
  if (close) self.close();
};

// --- The database ---------------------------------------------------------------------------------------------------

if (asked.has("noStorage")) {
  IDBFactory.prototype.open = () => {
    throw new DOMException("storage is blocked", "SecurityError");
  };
}

/** Counts down; true when that was the last. */
function strikes(fault) {
  return faults[fault] > 0 && --faults[fault] === 0;
}

const journaling = new WeakSet();
const checkpointing = new WeakSet();
const make = IDBDatabase.prototype.transaction;
IDBDatabase.prototype.transaction = function (stores, mode, options) {
  const tx = make.call(this, stores, mode, options);
  if (mode !== "readwrite") return tx;
  if ([stores].flat().includes("rows")) checkpointing.add(tx);
  else if ([stores].flat().includes("journal")) journaling.add(tx);
  if (journaling.has(tx) && faults.failCommits > 0) {
    faults.failCommits--;
    throw new DOMException("the connection was lost", "InvalidStateError");
  }
  return tx;
};

const add = IDBObjectStore.prototype.add;
IDBObjectStore.prototype.add = function (...given) {
  if (faults.full && journaling.has(this.transaction) && JSON.stringify(given[0]).length > faults.full) {
    throw new DOMException("no room left", "QuotaExceededError");
  }
  if (journaling.has(this.transaction) && strikes("dieInCommits")) {
    add.apply(this, given);
    // Nothing of it is on disk, and nothing is ever heard of it.
    this.transaction.abort();
    self.close();
    throw new DOMException("the worker is gone", "AbortError");
  }
  return add.apply(this, given);
};

const { set } = Object.getOwnPropertyDescriptor(IDBTransaction.prototype, "oncomplete");
Object.defineProperty(IDBTransaction.prototype, "oncomplete", {
  set(listener) {
    set.call(this, (event) => {
      const dies =
        (journaling.has(this) && strikes("dieAfterCommits")) || (checkpointing.has(this) && strikes("dieAfterSlices"));
      if (dies) self.close();
      else listener.call(this, event);
    });
  },
});
export {};
