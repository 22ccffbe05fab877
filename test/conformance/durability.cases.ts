import { expect } from "chai";
import { z } from "zod";
import { type Case, type World, cases } from "./case.js";
import { rejectsWith } from "./expectations.js";

const schema = z.number();

/** Where nothing is kept, a strict handle's first call is refused, and has no effect. */
const strict =
  (run: (world: World) => Promise<void>) =>
  async (world: World): Promise<void> => {
    if (world.name !== "memory") return run(world);
    await rejectsWith(run(world), "UNAVAILABLE");
    expect(await world.entry.inspect(world.backend).instances()).to.deep.equal([]);
  };

/** Sentences of the common rules that each primitive keeps in the same way. */
export const durabilityCases: Case[] = [
  ...cases("queue", {
    "strict: what is sent is there when the call is answered": strict(async (world) => {
      const queue = world.queue({ id: world.id(), schema, durability: "strict" });
      await queue.send({ data: 1 });
      expect((await queue.recv({ wait: false }))?.data).to.equal(1);
    }),
  }),
  ...cases("topic", {
    "strict: what is published is there when the call is answered": strict(async (world) => {
      const topic = world.topic({ id: world.id(), schema, durability: "strict" });
      await topic.pub({ data: 1 });
      expect((await topic.reader().recv({ wait: false }))?.data).to.equal(1);
    }),
  }),
  ...cases("registry", {
    "strict: what is written is there when the call is answered": strict(async (world) => {
      const registry = world.registry({ id: world.id(), schema, durability: "strict" });
      await registry.upsert({ key: "a", value: 1 });
      expect((await registry.get({ key: "a" }))?.value).to.equal(1);
    }),

    "a reader of one key hears of that key alone": async (world) => {
      const registry = world.registry({ id: world.id(), schema });
      const reader = registry.reader({ key: "a/b" });
      for (const key of ["a", "a/b", "a/b/c", "a/bc", "a/b"]) await registry.upsert({ key, value: key.length });
      const heard = [await reader.recv(), await reader.recv(), await reader.recv({ wait: false })];
      expect(heard.map((event) => event?.type)).to.deep.equal(["upsert", "upsert", undefined]);
      await reader.close();
    },
  }),
  ...cases("ephemeral", {
    "strict: what is written is there when the call is answered": strict(async (world) => {
      const ephemeral = world.ephemeral({ id: world.id(), schema, ttlMs: 60_000, durability: "strict" });
      await ephemeral.upsert({ key: "a", value: 1 });
      expect((await ephemeral.get({ key: "a" }))?.value).to.equal(1);
    }),
  }),
  ...cases("mutex", {
    "strict: who was granted a lock holds it": strict(async (world) => {
      const mutex = world.mutex({ id: world.id(), durability: "strict" });
      const lock = await mutex.acquire("r");
      expect((await mutex.query("r")).holder?.token).to.equal(lock?.token);
    }),
  }),
  ...cases("ratelimit", {
    "strict: a check that is answered has counted": strict(async (world) => {
      const limiter = world.ratelimit({ id: world.id(), limit: 1, windowSecs: 3600, durability: "strict" });
      expect((await limiter.check("x")).limited).to.equal(false);
      expect((await limiter.check("x")).limited).to.equal(true);
    }),
  }),
  ...cases("job", {
    "strict: a job that is submitted is completed": strict(async (world) => {
      const job = world.job({ id: world.id(), schema, durability: "strict", process: ({ input }) => input + 1 });
      expect(await job.join({ id: await job.submit({ input: 1 }) })).to.include({ status: "completed", result: 2 });
      await job.close();
    }),
  }),
];
