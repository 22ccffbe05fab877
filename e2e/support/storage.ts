/** Put into the page by `evaluate`: what tests of the storage have in their hands there. */
declare global {
  /** Options of `join` that keep what the backend tells. */
  var watched: object;
  var resets: string[];
  /** A database as it is, of this version; `stores`: those that it gets. */
  function openIt(name: string, version: number, stores?: readonly string[]): Promise<IDBDatabase>;
  var held: IDBDatabase;
  var asked: Promise<string>;
}

export function watchBackend(): void {
  globalThis.resets = [];
  globalThis.watched = { onReset: ({ reason }: { reason: string }) => resets.push(reason) };
}

export function openDatabase(): void {
  globalThis.openIt = (name, version, stores = []) =>
    new Promise((resolve, reject) => {
      const request = indexedDB.open(name, version);
      request.onupgradeneeded = () => {
        for (const store of stores) request.result.createObjectStore(store);
      };
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error!);
    });
}
