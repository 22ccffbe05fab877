// A tab that contends for locks, and with each of them for the resource that it protects.
import * as tabloom from "tabloom";
import { call, happened, pause } from "./record.js";
import { seeded } from "./seeded.js";

/** Longer than anything in a test: whoever waits this long hangs. */
const LONG_MS = 45_000;

/** Joins a space, with a mutex of each durability. */
function joinMutex({ space, worker, mode }) {
  const backend = tabloom.connect({
    space,
    mode,
    ...(worker ? { worker: ({ name }) => new SharedWorker(worker, { type: "module", name }) } : {}),
  });
  const of = (durability) => tabloom.mutex({ id: durability, backend, durability, defaultTtl: LONG_MS });
  globalThis.mutexes = { memory: of("memory"), relaxed: of("relaxed") };
}

/**
 * Contends for resources, `contenders` at a time, for so many rounds, or until told to stop. `expires`: some locks have a
 * ttl that ends under them. `holdMs`: how long one pauses between accesses at most.
 */
async function contend({ seed, durability = "memory", resources, rounds = Infinity, contenders = 1, ...manner }) {
  const m = globalThis.mutexes[durability];
  const stop = new AbortController();
  const ended = Promise.all(
    Array.from({ length: contenders }, async (_, i) => {
      const random = seeded(seed * 100 + i);
      for (let round = 0; round < rounds && !stop.signal.aborted; round++) {
        await hold(m, random.pick(resources), random, manner);
        await pause(random.int(0, 3));
      }
    }),
  );
  globalThis.stopContending = async () => {
    stop.abort();
    await ended;
  };
  await ended;
}

/** One round: a lock, and what it protects. */
export async function hold(m, resource, random, { expires = false, holdMs = 4 }) {
  const { int, chance } = random;
  const mode = chance(0.3) ? "shared" : "exclusive";
  const short = expires && chance(0.15);
  const options = {
    mode,
    ttl: short ? int(10, 40) : LONG_MS,
    waitMs: chance(0.15) ? int(0, 5) : LONG_MS,
    ...(chance(0.15) ? { signal: AbortSignal.timeout(int(0, 10)) } : {}),
  };
  const take = chance(0.2) ? within : acquired;
  const held = await call("acquire", { resource, mode, short }, () => take(m, resource, options), tokenOf);
  if (!held) return;
  const { lock, release } = held;
  const args = { resource, token: lock.token };
  const lost = new Promise((resolve) => {
    const learn = () => {
      happened("lost", args);
      resolve();
    };
    if (lock.signal.aborted) learn();
    else lock.signal.addEventListener("abort", learn);
  });
  for (let accesses = int(1, 3); accesses > 0; accesses--) {
    await pause(int(0, holdMs));
    const accepted = await call("access", args, () => access({ ...args, mode }));
    // Refused: somebody came later, so this lock is lost, and the hub must say so.
    if (!accepted || chance(0.4)) await call("extend", args, () => m.extend(lock));
    if (!accepted) break;
  }
  // Some are given back when they are over: that must do nothing.
  if (short && chance(0.5)) await lost;
  await call("release", args, async () => (await release()) ?? null);
}

const tokenOf = (held) => held && { token: held.lock.token };

async function acquired(m, resource, options) {
  const lock = await m.acquire(resource, options);
  return lock && { lock, release: () => m.release(lock) };
}

/** The same by `withLock`, whose function runs until the release. */
function within(m, resource, options) {
  return new Promise((resolve, reject) => {
    let leave;
    const left = new Promise((go) => (leave = go));
    const done = m.withLock(
      resource,
      (lock) => {
        resolve({ lock, release: () => (leave(null), done) });
        return left;
      },
      options,
    );
    // Of those that were given the lock this says nothing any more.
    done.then(() => resolve(null), reject);
  });
}

// --- What the locks protect -----------------------------------------------------------------------------------------

/** A database of its own, that knows nothing of tabloom: its transactions are one after the other, for all tabs. */
const register = new Promise((resolve, reject) => {
  const opening = indexedDB.open("register");
  opening.onupgradeneeded = () => {
    opening.result.createObjectStore("resources");
    opening.result.createObjectStore("accesses", { autoIncrement: true });
  };
  opening.onsuccess = () => resolve(opening.result);
  opening.onerror = () => reject(opening.error);
});

/** An exclusive lock writes, a shared one reads. Refused: one with a later token came before that it cannot follow. */
async function access({ resource, token, mode }) {
  const transaction = (await register).transaction(["resources", "accesses"], "readwrite");
  const resources = transaction.objectStore("resources");
  let accepted;
  const reading = resources.get(resource);
  reading.onsuccess = () => {
    const { any = 0, written = 0 } = reading.result ?? {};
    accepted = token >= (mode === "exclusive" ? any : written);
    if (accepted) {
      const next = { any: Math.max(any, token), written: mode === "exclusive" ? token : written };
      resources.put(next, resource);
    }
    transaction.objectStore("accesses").add({ resource, token, mode, accepted });
  };
  await finished(transaction);
  return accepted;
}

/** Everything that was asked of the resource since this was last asked, in its own order. */
async function takeAccesses() {
  const transaction = (await register).transaction("accesses", "readwrite");
  const accesses = transaction.objectStore("accesses");
  const all = accesses.getAll();
  accesses.clear();
  await finished(transaction);
  return all.result;
}

function finished(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
  });
}

Object.assign(globalThis, { joinMutex, contend, takeAccesses });
