// oxlint-disable vitest/no-standalone-expect, vitest/valid-expect -- what a history expects says where in it
import fc from "fast-check";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Backend, CallOptions, InstanceSpec, Port } from "../../../src/client/backend.js";
import { createMemoryBackend } from "../../../src/memory/memory-backend.js";
import type { Body, CommandName, Configs, Kind } from "../../../src/protocol/commands.js";
import { randomText } from "../../../src/protocol/ids.js";
import { createRedisBackend } from "../../../src/redis/backend.js";
import { redisNames } from "../../../src/redis/keys.js";
import { type Server, startServer } from "../server.js";

/** A command for both. One that waits (`waitMs`) may be answered by a later step: on both by the same. */
export interface Asked {
  readonly op: CommandName;
  readonly body: unknown;
}
/** A command, or time that passes on both. */
export type Step = Asked | { readonly advanceMs: number };

export interface Differential<K extends Kind> {
  readonly kind: K;
  /** How many histories. Default 200. */
  readonly runs?: number;
  readonly config: fc.Arbitrary<Configs[K]>;
  /** What may be asked for. "$new" in it is an id of its own, "$0" the newest of those, "$1" the one before. */
  readonly step: fc.Arbitrary<Step>;
  /** Asked after every step: what both must agree on. */
  readonly look: readonly Asked[];
  /** What a client asks for before it asks for this. */
  readonly leadIn?: (asked: Asked) => Asked | undefined;
  /** Work goes on by itself after an answer: it is done before anybody looks. */
  readonly goesOn?: true;
  /** Before each history, and after it; each is waited for. */
  readonly first?: (now: number) => readonly Step[];
  readonly last?: readonly Step[];
  /** Settings of a job beside it, which its own commands reach; "$job" in a body opens it. */
  readonly job?: Configs["job"];
  /** Fields of answers that need not agree. */
  readonly leaveOut?: RegExp;
  /** Fields with times that are the same on both. */
  readonly sameTimes?: RegExp;
  /** Commands that give lists whose order is not promised. */
  readonly inAnyOrder?: RegExp;
}

const EPOCH_MS = 1e12;
/** Redis hears of what it waits for: longer than any message takes. */
const ANSWERS_WITHIN_MS = 5000;
/** Real time passes as well, and not the same on both: times are left out, and what hangs on them is far apart. */
const TIMES =
  /^(leaseUntil|movedAt|untilAt|publishedAt|createdAt|updatedAt|expiresAt|finishedAt|submittedAt|dueAt|expiration|resetIn|nextAt|expiredAt|deletedAt|by|tab|leftMs)$/;

/** Steps that ask for this. */
export function asks(op: CommandName, body: fc.Arbitrary<unknown>): fc.Arbitrary<Step> {
  return body.map((given) => ({ op, body: given }));
}

/**
 * How long calls wait: until a step serves them. Were a wait to end in the same leap of the clock in which what it waits
 * for comes due, both answers would be right.
 */
export const waitMs = fc.constant(1_000_000_500);

let server: Server | undefined;

/**
 * The same random histories on the engine and on Redis: every answer is the same. Ids are given by the history; deadlines
 * lie at half seconds of a clock that only moves in whole ones.
 */
export function answersAsTheEngine<K extends Kind>(what: string, differential: Differential<K>): void {
  beforeAll(async () => {
    server ??= await startServer();
  });
  afterAll(async () => {
    await server?.stop();
    server = undefined;
  });
  test(`${what} on Redis answers as the engine does`, { timeout: 120_000 }, () => compare(differential, server!.url));
}

async function compare<K extends Kind>(differential: Differential<K>, url: string): Promise<void> {
  const { config, step, first, last, runs = 200 } = differential;
  const memory = createMemoryBackend({ testClock: true });
  const prefix = `differential-${randomText(10)}`;
  const redis = createRedisBackend({ redis: url, prefix, testClock: true });
  const client = new Redis(url);
  const clock = { movedMs: 0 };
  let run = 0;
  try {
    await fc.assert(
      fc.asyncProperty(config, fc.array(step, { minLength: 5, maxLength: 60 }), async (settings, steps) => {
        const history = new History(differential, [memory, redis], clock, `run${run++}`, settings);
        try {
          for (const one of first?.(Date.now() + clock.movedMs) ?? []) await history.perform(one, "before the steps");
          for (const [i, one] of steps.entries()) await history.step(one, `step ${i}`);
          for (const one of last ?? []) await history.perform(one, "after the steps");
        } finally {
          history.end();
          // It is over: its clock need not be moved with that of the next.
          await client.del(redisNames.instances(prefix));
        }
      }),
      { numRuns: runs, ...(process.env["SEED"] ? { seed: Number(process.env["SEED"]) } : {}) },
    );
  } finally {
    client.disconnect();
    await Promise.all([memory.close(), redis.close()]);
  }
}

/** What was asked on one side: its answer, or its error as a text. */
interface Outcome {
  value?: unknown;
}

/** A call that waits, on the engine and on Redis. */
interface Waiting {
  readonly asked: Asked;
  readonly engine: Outcome;
  readonly redis: Outcome;
  readonly answered: Promise<unknown>;
}

class History<K extends Kind> {
  readonly #differential: Differential<K>;
  /** The engine, and Redis; the ports of this history's instances there. */
  readonly #sides: readonly { backend: Backend; ports: Partial<Record<Kind, Port>> }[];
  readonly #specs: Partial<Record<Kind, InstanceSpec>>;
  /** Of both sides. */
  readonly #clock: { movedMs: number };
  readonly #ids: string[] = [];
  readonly #waiting = new Set<Waiting>();
  readonly #ending = new AbortController();

  constructor(
    differential: Differential<K>,
    backends: readonly Backend[],
    clock: { movedMs: number },
    id: string,
    config: Configs[K],
  ) {
    this.#differential = differential;
    this.#clock = clock;
    const { kind, job } = differential;
    const spec = (of: Kind, settings: unknown) =>
      ({
        name: { prefix: "", kind: of, tenantId: "default", id },
        config: settings,
        durability: "memory",
      }) as InstanceSpec;
    this.#specs = { [kind]: spec(kind, config), ...(job && { job: spec("job", job) }) };
    const kinds = Object.keys(this.#specs) as Kind[];
    this.#sides = backends.map((backend) => ({
      backend,
      ports: Object.fromEntries(kinds.map((of) => [of, backend.port(this.#specs[of]!)])),
    }));
  }

  /** Does it on both, and looks at what came of it. */
  async step(planned: Step, number: string): Promise<void> {
    const step = this.#named(planned) as Step;
    const what = `${number}, ${JSON.stringify(step)}`;
    const leadIn = "op" in step && this.#differential.leadIn?.(step);
    if (leadIn) await this.#same(leadIn, what);
    if ("op" in step && (step.body as { waitMs?: number }).waitMs) this.#begin(step);
    else await this.perform(step, what);
    await this.#served(what);
    if (this.#differential.goesOn) await this.perform({ advanceMs: 0 }, what);
    if ("op" in step)
      for (const other of this.#differential.look) await this.#same(other, `after ${what}: ${other.op}`);
  }

  async perform(planned: Step, what: string): Promise<void> {
    const step = this.#named(planned) as Step;
    if ("op" in step) return this.#same(step, what);
    this.#clock.movedMs += step.advanceMs;
    await Promise.all(this.#sides.map(({ backend }) => backend.advanceClock(step.advanceMs)));
  }

  end(): void {
    this.#ending.abort();
  }

  async #same(asked: Asked, what: string): Promise<void> {
    const [engine, redis] = await Promise.all(this.#sides.map(({ ports }) => this.#ask(ports, asked)));
    expect(redis, what).toEqual(engine);
  }

  #begin(asked: Asked): void {
    const [engine, redis]: [Outcome, Outcome] = [{}, {}];
    const answers = [engine, redis].map(async (outcome, i) => {
      outcome.value = await this.#ask(this.#sides[i]!.ports, asked, { signal: this.#ending.signal });
    });
    this.#waiting.add({ asked, engine, redis, answered: answers[1]! });
  }

  /** Whoever the engine has answered by now is answered on Redis, too, by the same; and nobody else. */
  async #served(what: string): Promise<void> {
    if (this.#waiting.size === 0) return;
    // The engine has answered in the step itself; its promises settle in this turn.
    await new Promise(setImmediate);
    for (const call of this.#waiting) {
      const { asked, engine, redis, answered } = call;
      if ("value" in engine) {
        await within(ANSWERS_WITHIN_MS, answered);
        this.#waiting.delete(call);
      }
      expect(redis, `${what}: who waits, ${JSON.stringify(asked)}`).toEqual(engine);
    }
  }

  async #ask(ports: Partial<Record<Kind, Port>>, { op, body }: Asked, options?: CallOptions): Promise<unknown> {
    const { leaveOut, sameTimes, inAnyOrder } = this.#differential;
    const kind = op.slice(0, op.indexOf(".")) as Kind;
    try {
      const answer: unknown = await ports[kind]!.call(op, body as Body<CommandName>, options);
      // Its answer is a time, or null.
      if (op === "mutex.extend") return typeof answer;
      const seen = timeless(answer, leaveOut, sameTimes);
      return inAnyOrder?.test(op) ? ordered(seen) : seen;
    } catch (error) {
      return `${(error as { code?: string }).code ?? (error as Error).name}: ${(error as Error).message}`;
    }
  }

  #named(value: unknown): unknown {
    const ids = this.#ids;
    if (value === "$new") return ids[ids.push(`id${ids.length}`) - 1];
    if (value === "$job") return { ...this.#specs.job, seed: "SEED" };
    if (typeof value === "string" && /^\$\d$/.test(value)) return ids.at(-1 - Number(value[1])) ?? "nobody";
    if (Array.isArray(value)) return value.map((one) => this.#named(one));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, given]) => [key, this.#named(given)]));
  }
}

async function within(ms: number, answered: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const tooLate = new Promise((resolve) => (timer = setTimeout(resolve, ms)));
  await Promise.race([answered, tooLate]);
  clearTimeout(timer);
}

/** Lists in an order that hangs on nothing but what is in them. */
function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  if (typeof value !== "object" || value === null) return value;
  const names = Object.keys(value).sort();
  return Object.fromEntries(names.map((name) => [name, ordered((value as Record<string, unknown>)[name])]));
}

/** Without times, and without the generations of logs. */
function timeless(value: unknown, leaveOut?: RegExp, sameTimes?: RegExp): unknown {
  if (typeof value === "number" && value > EPOCH_MS) return "<time>";
  if (typeof value === "string") return value.replace(/^[0-9A-Za-z]{8}\.(\d+)$/, "<generation>.$1");
  if (Array.isArray(value)) return value.map((one) => timeless(one, leaveOut, sameTimes));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(
    ([key, given]) => !TIMES.test(key) && !leaveOut?.test(key) && key !== "generation" && given !== undefined,
  );
  return Object.fromEntries(
    entries.map(([key, given]) => [key, sameTimes?.test(key) ? given : timeless(given, leaveOut, sameTimes)]),
  );
}
