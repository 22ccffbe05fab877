// Faults of the browser's storage that cannot be had from the browser itself, made at its outermost edge: between the
// hub and IndexedDB. From the worker's first moment on by its address (?faults=…), later through a channel.
//
//   missing     there is no IndexedDB
//   forbidden   its mere name throws
//   open        [name, message] every attempt to open a database fails like this
//   dead        all that the handles that are open now do is throw, as Safari's when its storage process died
//   tx          what the next transaction on the journal comes to:
//               "never begun", "committed, unheard" (and the handle closes), "silent" (for ever, the handle, too)
const channel = new BroadcastChannel("storage-faults");
const faults = JSON.parse(new URL(self.location.href).searchParams.get("faults") ?? "{}");
const handles = new Set();
const dead = new Set();
const silent = new Set();
let opened = 0;

channel.onmessage = ({ data }) => {
  if (data.dead) for (const handle of handles) dead.add(handle);
  Object.assign(faults, data);
  channel.postMessage({ opened });
};

if (faults.missing) Object.defineProperty(self, "indexedDB", { value: undefined });
if (faults.forbidden) {
  const get = () => {
    throw new DOMException("no storage for you", "SecurityError");
  };
  Object.defineProperty(self, "indexedDB", { get });
}

const { open } = IDBFactory.prototype;
IDBFactory.prototype.open = function (...given) {
  if (faults.open) return failedRequest(new DOMException(faults.open[1], faults.open[0]));
  const request = open.apply(this, given);
  request.addEventListener("success", () => {
    opened++;
    handles.add(request.result);
  });
  return request;
};

function failedRequest(error) {
  const request = { error };
  setTimeout(() => request.onerror?.({ target: request, preventDefault() {}, stopPropagation() {} }));
  return request;
}

const { transaction } = IDBDatabase.prototype;
IDBDatabase.prototype.transaction = function (stores, mode, options) {
  if (dead.has(this)) throw new DOMException("the connection is closed", "InvalidStateError");
  const tx = transaction.call(this, stores, mode, options);
  const onJournal = mode === "readwrite" && Array.from(stores).includes("journal");
  const fault = onJournal ? faults.tx : undefined;
  if (fault) faults.tx = undefined;
  if (fault === "silent") silent.add(this);
  if (fault === "never begun") setTimeout(() => tx.abort());
  // The commit is on disk, and the handle closes before anybody hears of it.
  if (fault === "committed, unheard") {
    tx.addEventListener("complete", () => {
      this.close();
      tx.onabort?.(new Event("abort"));
    });
  }
  if (silent.has(this)) Object.defineProperty(tx, "onabort", { set() {} });
  if (silent.has(this) || fault === "committed, unheard") Object.defineProperty(tx, "oncomplete", { set() {} });
  return tx;
};
