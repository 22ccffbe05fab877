import fc from "fast-check";
import { expect } from "vitest";
import type { Backend, InstanceSpec, Port } from "../../../src/client/backend.js";
import { createMemoryBackend } from "../../../src/memory/memory-backend.js";
import type { Body, CommandName, Configs, Kind } from "../../../src/protocol/commands.js";
import { randomText } from "../../../src/protocol/ids.js";
import { createRedisBackend } from "../../../src/redis/backend.js";

/** A command for both, or time that passes on both. */
export type Step = { readonly op: CommandName; readonly body: unknown } | { readonly advanceMs: number };

export interface Differential<K extends Kind> {
  readonly kind: K;
  readonly url: string;
  readonly runs: number;
  readonly config: fc.Arbitrary<Configs[K]>;
  /** What may be asked for. "$new" in it is an id of its own, "$0" the newest of those, "$1" the one before. */
  readonly step: fc.Arbitrary<Step>;
  /** Asked after every step: what both must agree on. */
  readonly look: readonly { readonly op: CommandName; readonly body: unknown }[];
  /** Fields of answers that need not agree. */
  readonly leaveOut?: RegExp;
}

const EPOCH_MS = 1e12;
/** Real time passes as well, and not the same on both: times are left out, and what hangs on them is far apart. */
const TIMES =
  /^(leaseUntil|movedAt|untilAt|publishedAt|createdAt|updatedAt|expiresAt|finishedAt|submittedAt|dueAt|expiration|resetIn|nextAt|expiredAt|deletedAt|by|tab|leftMs)$/;

/**
 * Runs the same random histories on the engine and on Redis, and compares every answer. Ids are given by the history;
 * deadlines lie at half seconds of a clock that only moves in whole ones.
 */
export async function compareWithEngine<K extends Kind>(differential: Differential<K>): Promise<void> {
  const { kind, url, runs, config, step, look, leaveOut } = differential;
  const prefix = `differential-${randomText(10)}`;
  const memory = createMemoryBackend({ testClock: true });
  const redis = createRedisBackend({ redis: url, prefix, testClock: true });
  let run = 0;
  try {
    await fc.assert(
      fc.asyncProperty(config, fc.array(step, { minLength: 5, maxLength: 60 }), async (settings, steps) => {
        const spec = {
          name: { prefix: "", kind, tenantId: "default", id: `run${run++}` },
          config: settings,
          durability: "memory",
        };
        const ports = [memory, redis].map((backend) => backend.port(spec as unknown as InstanceSpec));
        const ids: string[] = [];
        for (const [i, planned] of steps.entries()) {
          const one = named(planned, ids) as Step;
          if ("advanceMs" in one) {
            await Promise.all([memory, redis].map((backend: Backend) => backend.advanceClock(one.advanceMs)));
            continue;
          }
          const asked = await answers(ports, one, leaveOut);
          expect(asked[1], `step ${i}: ${JSON.stringify(one)}`).toEqual(asked[0]);
          for (const other of look) {
            const seen = await answers(ports, other, leaveOut);
            expect(seen[1], `after step ${i}, ${JSON.stringify(one)}: ${other.op}`).toEqual(seen[0]);
          }
        }
      }),
      { numRuns: runs, ...(process.env["SEED"] ? { seed: Number(process.env["SEED"]) } : {}) },
    );
  } finally {
    await Promise.all([memory.close(), redis.close()]);
  }
}

function answers(
  ports: readonly Port[],
  { op, body }: { op: CommandName; body: unknown },
  leaveOut: RegExp | undefined,
): Promise<unknown[]> {
  return Promise.all(
    ports.map(async (port) => {
      try {
        const answer: unknown = await port.call(op, body as Body<CommandName>);
        // Its answer is a time, or null.
        return op === "mutex.extend" ? typeof answer : timeless(answer, leaveOut);
      } catch (error) {
        return `${(error as { code?: string }).code ?? (error as Error).name}: ${(error as Error).message}`;
      }
    }),
  );
}

function named(value: unknown, ids: string[]): unknown {
  if (value === "$new") return ids[ids.push(`id${ids.length}`) - 1];
  if (typeof value === "string" && /^\$\d$/.test(value)) return ids.at(-1 - Number(value[1])) ?? "nobody";
  if (Array.isArray(value)) return value.map((one) => named(one, ids));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, given]) => [key, named(given, ids)]));
}

/** Without times, and without the generations of logs. */
function timeless(value: unknown, leaveOut?: RegExp): unknown {
  if (typeof value === "number" && value > EPOCH_MS) return "<time>";
  if (typeof value === "string") return value.replace(/^[0-9A-Za-z]{8}\.(\d+)$/, "<generation>.$1");
  if (Array.isArray(value)) return value.map((one) => timeless(one, leaveOut));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(
    ([key, given]) => !TIMES.test(key) && !leaveOut?.test(key) && key !== "generation" && given !== undefined,
  );
  return Object.fromEntries(entries.map(([key, given]) => [key, timeless(given, leaveOut)]));
}
