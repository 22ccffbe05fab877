/**
 * Work of several kinds by two processes, and what each call of it was told: whatever fails meanwhile, nothing that was
 * acknowledged may be lost, and nothing doubled.
 */
import { z } from "zod";
import type { RedisTarget } from "../../src/redis/client.js";
import * as tabloom from "../../src/server.js";
import { Ledger } from "./ledger.js";
import { processAt } from "./processes.js";
import { until } from "./server.js";

export interface Load {
  /** Resolves when every kind of work has got on after this call, with how long that took. */
  goesOn(): Promise<number>;
  /** Ends it. Resolves with all that is not as it was promised. `lossy`: the server has lost data meanwhile. */
  end(options?: { lossy?: boolean }): Promise<string[]>;
}

/** One kind of work. */
interface Work {
  /** What is done over and over. */
  readonly turns: readonly (() => Promise<unknown>)[];
  /** When all is quiet: what is wrong, as another process sees it. */
  faults(there: tabloom.Backend, lossy: boolean): Promise<string[]>;
}

/** Two processes that work, and the end of it. */
interface Crew {
  readonly one: tabloom.Backend;
  readonly other: tabloom.Backend;
  readonly signal: AbortSignal;
}

const schema = z.string();
/** Between turns: it is about what happens, not how often. */
const PAUSE_MS = 3;
/** What calls may end with while the server fails. */
const EXPECTED = new Set(["OFFLINE", "INDETERMINATE", "QUOTA", "STORAGE"]);

export function startLoad(target: () => RedisTarget, prefix: string): Load {
  const ending = new AbortController();
  const crew = { one: processAt(target(), prefix), other: processAt(target(), prefix), signal: ending.signal };
  const works = Object.entries({ queue, topic, job, registry, mutex }).map(([name, begin]) => ({
    name,
    ...begin(crew),
  }));
  const unexpected: string[] = [];
  const loops = works.flatMap(({ name, turns }) =>
    turns.map((turn) => {
      const loop = { done: 0, over: Promise.resolve() };
      loop.over = (async () => {
        while (!ending.signal.aborted) {
          try {
            await turn();
            loop.done++;
          } catch (error) {
            const { code = "" } = error as { code?: string };
            if (!EXPECTED.has(code) && !ending.signal.aborted) unexpected.push(`${name}: ${String(error)}`);
          }
          await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
        }
      })();
      return loop;
    }),
  );
  return {
    async goesOn() {
      const beganAt = performance.now();
      const before = loops.map(({ done }) => done);
      await until("all work goes on", () => loops.every(({ done }, i) => done > before[i]!));
      return performance.now() - beganAt;
    },
    async end({ lossy = false } = {}) {
      ending.abort();
      await Promise.all(loops.map(({ over }) => over));
      const there = processAt(target(), prefix);
      const faults = await Promise.all(
        works.map(async ({ name, faults: check }) => (await check(there, lossy)).map((fault) => `${name}: ${fault}`)),
      );
      return [...(lossy ? unexpected.filter((error) => !error.includes("GapError")) : unexpected), ...faults.flat()];
    },
  };
}

function queue({ one, other, signal }: Crew): Work {
  const at = (backend: tabloom.Backend) => tabloom.queue({ id: "load", schema, backend });
  const [sender, worker] = [at(one), at(other)];
  const ledger = new Ledger();
  /** Messages that were seen: id → value. */
  const seen = new Map<string, string>();
  const settled = new Set<string>();
  const faults: string[] = [];
  return {
    turns: [
      () => ledger.write((data, key) => sender.send({ data, ...(key === undefined ? {} : { idempotencyKey: key }) })),
      async () => {
        const message = await worker.recv({ signal });
        if (message === null) return;
        const { messageId, data } = message;
        if (settled.has(messageId)) faults.push(`${data} came again after it was acknowledged`);
        seen.set(messageId, data);
        if (await message.ack()) settled.add(messageId);
      },
    ],
    async faults(there, lossy) {
      for (let message; (message = await at(there).recv({ wait: false })) !== null;) {
        seen.set(message.messageId, message.data);
        await message.ack();
      }
      return [...faults, ...ledger.faults([...seen.values()], lossy)];
    },
  };
}

function topic({ one, other, signal }: Crew): Work {
  const at = (backend: tabloom.Backend) => tabloom.topic({ id: "load", schema, backend });
  const [publisher, listener] = [at(one), at(other)];
  const ledger = new Ledger();
  const reader = listener.reader("group");
  const received = new Set<string>();
  const committed = new Set<string>();
  const faults: string[] = [];
  const heard: string[] = [];
  return {
    turns: [
      () => ledger.write((data, key) => publisher.pub({ data, ...(key === undefined ? {} : { idempotencyKey: key }) })),
      async () => {
        const event = await reader.recv({ signal });
        if (event === null) return;
        if (committed.has(event.eventId)) faults.push(`${event.data} came again after it was committed`);
        received.add(event.eventId);
        if (await event.commit()) committed.add(event.eventId);
      },
      // Until it is lost, a listener is not asked again where it stands; one event is a turn.
      listening(
        () => listener.live({ signal }),
        (data) => heard.push(data),
        () => heard.splice(0),
      ),
    ],
    async faults(there, lossy) {
      const log: { eventId: string; data: string }[] = [];
      for await (const event of at(there).live({ after: "0-0", timeoutMs: 300 })) log.push(event);
      const values = log.map(({ data }) => data);
      const rest = at(there).reader("group").stream({ wait: false });
      for await (const event of rest) received.add(event.eventId);
      const missed = log.filter(({ eventId }) => !received.has(eventId)).map(({ data }) => `the group missed ${data}`);
      const from = values.indexOf(heard[0]!);
      const wrong = heard.findIndex((data, i) => data !== values[from + i]);
      if (heard.length > 0 && wrong >= 0)
        faults.push(`a listener heard ${heard[wrong]} where ${values[from + wrong]} stands`);
      return [...faults, ...missed, ...ledger.faults(values, lossy)];
    },
  };
}

/** A turn is the next event. One that is lost (a gap) begins anew. */
function listening<Event extends { data: string }>(
  listen: () => AsyncIterableIterator<Event>,
  hear: (data: string) => void,
  anew: () => void,
): () => Promise<void> {
  let events: AsyncIterableIterator<Event> | undefined;
  return async () => {
    try {
      const { value, done } = await (events ??= listen()).next();
      if (!done) hear((value as Event).data);
    } catch (error) {
      events = undefined;
      anew();
      throw error;
    }
  };
}

function job({ one, other, signal }: Crew): Work {
  const runs = new Map<string, number>();
  const at = (backend: tabloom.Backend, worker = true) =>
    tabloom.job({
      id: "load",
      schema,
      backend,
      worker,
      process: ({ ctx }) => void runs.set(ctx.jobId, (runs.get(ctx.jobId) ?? 0) + 1),
    });
  const ledger = new Ledger();
  const submits = (handle: ReturnType<typeof at>) => async (): Promise<void> => {
    let id = "";
    await ledger.write(async (input, key) => {
      id = await handle.submit({ input, ...(key === undefined ? {} : { key }) });
    });
    await handle.join({ id, signal });
  };
  return {
    turns: [submits(at(one)), submits(at(other))],
    async faults(there, lossy) {
      const handle = at(there, false);
      await until("all jobs are done", async () => {
        const { submitted, running, retry } = await handle.stats();
        return submitted + running + retry === 0;
      });
      const values: string[] = [];
      const faults: string[] = [];
      for (let after: string | undefined; ;) {
        const page = await handle.list({ limit: 1000, ...(after === undefined ? {} : { after }) });
        for (const { id, input, status, failures, crashes } of page.entries) {
          values.push(input as string);
          const times = runs.get(id) ?? 0;
          if (status !== "completed") faults.push(`${String(input)} is ${status}`);
          if (times < 1 || times > 1 + failures + crashes) faults.push(`${String(input)} ran ${times} times`);
        }
        if ((after = page.next) === undefined) return [...faults, ...ledger.faults(values, lossy)];
      }
    },
  };
}

/** Two count on: each increment is one that was told, or is in doubt. */
function registry({ one, other }: Crew): Work {
  const counted = { surely: 0, perhaps: 0 };
  const key = "count";
  const at = (backend: tabloom.Backend) => tabloom.registry({ id: "load", schema: z.number(), backend });
  const counts = (handle: ReturnType<typeof at>) => async (): Promise<void> => {
    const entry = await handle.get({ key });
    try {
      const written =
        entry === null
          ? await handle.create({ key, value: 1 })
          : await handle.cas({ key, version: entry.version, value: entry.value + 1 });
      if (written.ok) counted.surely++;
    } catch (error) {
      if ((error as { code?: string }).code === "INDETERMINATE") counted.perhaps++;
      throw error;
    }
  };
  return {
    turns: [counts(at(one)), counts(at(other))],
    async faults(there, lossy) {
      const value = (await at(there).get({ key }))?.value ?? 0;
      const { surely, perhaps } = counted;
      if ((value >= surely || lossy) && value <= surely + perhaps) return [];
      return [`it counts ${value}, of ${surely} increments and ${perhaps} in doubt`];
    },
  };
}

/** What is entered by one at a time: the tokens of those who were in it grow. */
function mutex({ one, other }: Crew): Work {
  const faults: string[] = [];
  let inside: tabloom.Lock | undefined;
  let lastToken = 0;
  const enters = (backend: tabloom.Backend) => {
    const locks = tabloom.mutex({ id: "load", backend });
    return async (): Promise<void> => {
      const lock = await locks.acquire("door", { ttl: 10_000, waitMs: 500 });
      if (lock === null || lock.signal.aborted) return;
      if (inside && !inside.signal.aborted) faults.push(`${lock.token} came in while ${inside.token} was in`);
      if (lock.token <= lastToken) faults.push(`${lock.token} came in after ${lastToken}`);
      lastToken = lock.token;
      inside = lock;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      if (inside === lock) inside = undefined;
      await locks.release(lock);
    };
  };
  return {
    turns: [enters(one), enters(other)],
    // A server that forgot a lock gives it away before its holder can say so; its token says who comes later.
    faults: async (_, lossy) => (lossy ? faults.filter((fault) => !fault.endsWith("was in")) : faults),
  };
}
