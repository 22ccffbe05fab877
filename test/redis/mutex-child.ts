/** A process that uses a mutex: told what to do, or working by itself and writing down what it sees. */
import { randomInt } from "node:crypto";
import { createInterface } from "node:readline";
import { type Lock, type Mutex, TabloomError, connect, mutex } from "../../src/server.js";
import type { Note } from "../history/record.js";
import type { Said } from "./asked-child.js";

export type MutexRequest =
  | { do: "connect"; url: string; prefix: string }
  | { do: "acquire"; resource: string; ttl: number; waitMs: number; mode?: "exclusive" | "shared" }
  /** Does not wait for an answer: calls that will wait. */
  | { do: "line up"; resource: string; ttl: number; waitMs: number; count: number }
  | { do: "extend" | "release" | "state"; resource: string }
  | { do: "work"; tab: string; resources: string[]; workers: number; forMs: number }
  | { do: "accessed"; call: string; accepted: boolean }
  | { do: "close" };

export interface Told {
  token: number;
  expiration: number;
  aborted: boolean;
}

/** For the register, which lives in the process that started this one. */
export interface AccessNote {
  access: { resource: string; token: number; mode: "exclusive" | "shared"; call: string };
}

let backend: ReturnType<typeof connect>;
let locks: Mutex;
const held = new Map<string, Lock>();

async function perform(request: MutexRequest): Promise<unknown> {
  switch (request.do) {
    case "connect":
      backend = connect({ redis: request.url, prefix: request.prefix });
      locks = mutex({ id: "m", backend });
      return locks.stats();
    case "acquire": {
      const { resource, ttl, waitMs, mode = "exclusive" } = request;
      const lock = await locks.acquire(resource, { ttl, waitMs, mode });
      if (lock) held.set(resource, lock);
      return lock && told(lock);
    }
    case "line up":
      for (let i = 0; i < request.count; i++) locks.acquire(request.resource, request).catch(() => {});
      return null;
    case "extend":
      return locks.extend(held.get(request.resource)!);
    case "release":
      return locks.release(held.get(request.resource)!).then(() => null);
    case "state":
      return told(held.get(request.resource)!);
    case "work":
      return work(request);
    case "accessed":
      answers.get(request.call)!(request.accepted);
      answers.delete(request.call);
      return null;
    case "close":
      return backend.close().then(() => null);
  }
}

const told = ({ token, expiration, signal }: Lock): Told => ({ token, expiration, aborted: signal.aborted });

// --- Working by itself ----------------------------------------------------------------------------------------------

let n = 0;
const answers = new Map<string, (accepted: boolean) => void>();

async function work({ tab, resources, workers, forMs }: MutexRequest & { do: "work" }): Promise<null> {
  const endAt = performance.now() + forMs;
  const recorded = recorder(tab);
  const worker = async (): Promise<void> => {
    while (performance.now() < endAt) await turn(recorded, resources[randomInt(resources.length)]!);
  };
  await Promise.all(Array.from({ length: workers }, worker));
  return null;
}

type Recorded = ReturnType<typeof recorder>;

/** Notes a call, runs it, notes what came of it. */
function recorder(tab: string) {
  // One clock for all processes of a machine.
  const moment = () => ({ tab, n: ++n, at: Number(process.hrtime.bigint()) / 1e6 });
  return async <T>(
    op: string,
    args: object,
    run: (call: string) => Promise<T>,
    valueOf: (result: T) => unknown,
  ): Promise<T> => {
    const call = `${tab}/${n}`;
    note({ ...moment(), call, op, args });
    try {
      const result = await run(call);
      note({ ...moment(), call, value: valueOf(result) });
      return result;
    } catch (error) {
      note({ ...moment(), call, error: error instanceof TabloomError ? error.code : String(error) });
      throw error;
    }
  };
}

const say = (said: Said): void => void process.stdout.write(`${JSON.stringify(said)}\n`);
const note = (noted: Note | AccessNote): void => say({ note: noted });
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const asIs = <T>(value: T): T => value;

async function turn(recorded: Recorded, resource: string): Promise<void> {
  const mode = randomInt(3) === 0 ? ("shared" as const) : ("exclusive" as const);
  const short = randomInt(8) === 0;
  const ttl = short ? 30 : 1500;
  const lock = await recorded(
    "acquire",
    { resource, mode, short },
    () => locks.acquire(resource, { ttl, waitMs: 20_000, mode }),
    (granted) => granted && { token: granted.token },
  );
  if (lock === null) return;
  const { token } = lock;
  const args = { resource, token };
  for (let i = 0; i < 2; i++) {
    const access = (call: string): Promise<boolean> =>
      new Promise((resolve) => {
        answers.set(call, resolve);
        note({ access: { resource, token, mode, call } });
      });
    const accepted = await recorded("access", args, access, asIs);
    const ours = await recorded("extend", args, () => locks.extend(lock, ttl), asIs);
    if (!ours || !accepted) break;
    // Some are over before they are given back.
    if (short) await pause(randomInt(60));
  }
  await recorded("release", args, () => locks.release(lock).then(() => null), asIs);
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, request } = JSON.parse(line) as { id: number; request: MutexRequest };
  perform(request).then(
    (value) => say({ id, value }),
    (error: unknown) => say({ id, error: String(error) }),
  );
}
// Nobody stays behind the process that started it.
process.exit();
