/** Processes as the server sees them: backends, several in one test. Closed at its end. */
import { z } from "zod";
import { createRedisBackend } from "../../src/redis/backend.js";
import type { RedisTarget } from "../../src/redis/client.js";
import * as tabloom from "../../src/server.js";
import { killChildren } from "./child.js";
import { type Server, until } from "./server.js";

const opened: tabloom.Backend[] = [];
let spaces = 0;

/** A prefix that no other test uses. */
export const newPrefix = (): string => `faults${++spaces}`;

export function processAt(redis: RedisTarget, prefix: string): tabloom.Backend {
  const backend = createRedisBackend({ redis, prefix });
  opened.push(backend);
  return backend;
}

export async function closeAll(): Promise<void> {
  await Promise.all(opened.splice(0).map((backend) => backend.close()));
}

/** At the end of a file of tests: whatever it has started. */
export async function endAll(...servers: (Server | undefined)[]): Promise<void> {
  await killChildren();
  await closeAll();
  await Promise.all(servers.map(async (server) => server?.stop()));
}

type Options = Omit<Parameters<typeof tabloom.queue>[0], "schema" | "backend" | "id"> & { id?: string };

/** A queue of texts. */
export function textQueue(backend: tabloom.Backend, options: Options = {}): tabloom.Queue<z.ZodString> {
  return tabloom.queue({ id: "work", schema: z.string(), backend, ...options });
}

/** Resolves when so many wait for a message. */
export async function parked(queue: tabloom.Queue<z.ZodString>, count = 1): Promise<void> {
  await until(`${count} waiting`, async () => (await queue.stats()).waiters === count);
}

/** What waits in it, taken and acknowledged. */
export async function drain(queue: tabloom.Queue<z.ZodString>): Promise<string[]> {
  const values: string[] = [];
  for (;;) {
    const message = await queue.recv({ wait: false });
    if (message === null) return values;
    values.push(message.data);
    await message.ack();
  }
}

/** The code of what it rejects with, or what it resolves with. */
export async function outcome(call: Promise<unknown>): Promise<unknown> {
  try {
    return await call;
  } catch (error) {
    return (error as { code?: string }).code ?? error;
  }
}

export function says(what: string, sinceMs: number): void {
  console.log(`${what}: ${Math.round(performance.now() - sinceMs)} ms`);
}
