import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { connect, job } from "../src/server.js";
import { type Server, startServer } from "../test/redis/server.js";
import { seeded } from "./pages/seeded.js";

/** `KILLS=200 SEED=7 npx vitest run --project e2e e2e/worker-kills.e2e.ts` */
const KILLS = Number(process.env["KILLS"] ?? 40);
const SEED = Number(process.env["SEED"] ?? 1);
const WORKERS = 6;
const PREFIX = "kills";
const PLACES = ["begun", "effect", "stepped"] as const;

type Place = (typeof PLACES)[number];

let redis: Server;
const running = new Set<ChildProcess>();
beforeAll(async () => {
  redis = await startServer({ aof: "everysec" });
});
afterAll(async () => {
  for (const child of running) child.kill("SIGKILL");
  await redis.stop();
});

test(
  `${KILLS} workers are killed: before the effect, within its step, between it and the end`,
  { timeout: 300_000 },
  async () => {
    const random = seeded(SEED);
    const backend = connect({ redis: redis.url, prefix: PREFIX });
    const jobs = job({ id: "kills", schema: z.number(), backend, worker: false, process: () => {} });
    const effects = new Redis(redis.url);
    const total = KILLS * 2;
    const ids: string[] = [];
    for (let n = 0; n < total; n++) {
      // As after a lost reply: under its key it is the same job.
      const submit = (): Promise<string> => jobs.submit({ input: n, key: `job ${n}`, leaseMs: 3_600_000 });
      const [id, again] = await Promise.all([submit(), submit()]);
      expect(again).toBe(id);
      ids.push(id);
    }

    const kills: Record<Place, number> = { begun: 0, effect: 0, stepped: 0 };
    const start = (): void => {
      const child = spawn(process.execPath, ["e2e/support/killed-worker.mjs", redis.url, PREFIX], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      running.add(child);
      child.once("exit", () => running.delete(child));
      createInterface({ input: child.stdout }).on("line", (line) => {
        const where = line.split(" ")[0] as Place;
        if (!PLACES.includes(where) || child.killed) return;
        const killed = kills.begun + kills.effect + kills.stepped;
        if (killed >= KILLS || !random.chance(0.5)) return;
        kills[where]++;
        child.kill("SIGKILL");
        start();
      });
    };
    for (let i = 0; i < WORKERS; i++) start();

    const outcomes = await Promise.all(ids.map((id) => jobs.join({ id, timeoutMs: 240_000 })));
    console.log(`killed ${JSON.stringify(kills)}`);
    expect(kills.begun + kills.effect + kills.stepped).toBe(KILLS);
    expect(outcomes.filter(({ status }) => status !== "completed")).toEqual([]);
    let crashes = 0;
    for (const id of ids) {
      const info = await jobs.get(id);
      const happened = await effects.llen(`effects:${id}`);
      crashes += info!.crashes;
      // Once for each time that a worker died before its step was stored, and once more.
      expect(happened).toBeGreaterThanOrEqual(1);
      expect(happened).toBeLessThanOrEqual(1 + info!.crashes);
      const completed = [];
      for await (const { data } of jobs.events(id).reader().stream({ wait: false })) {
        if (data.type === "completed") completed.push(data);
      }
      expect(completed).toHaveLength(1);
    }
    expect(crashes).toBeLessThanOrEqual(KILLS);
    // Killed after its step was stored, a job does not do it again.
    const all = await Promise.all(ids.map((id) => effects.llen(`effects:${id}`)));
    const sum = all.reduce((before, happened) => before + happened, 0);
    expect(sum).toBeLessThanOrEqual(total + kills.begun + kills.effect);
    expect(await jobs.stats()).toMatchObject({ submitted: 0, running: 0, retry: 0, failed: 0, completed: total });
    effects.disconnect();
    await backend.close();
  },
);
