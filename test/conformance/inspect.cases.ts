import { expect } from "chai";
import { z } from "zod";
import { type Case, ONE_TAB, type World, cases } from "./case.js";

const schema = z.object({ n: z.number() });

export const inspectCases: Case[] = cases("inspect", {
  "lists every instance with kind, id, tenant and stats": async (world) => {
    const id = world.id();
    const queue = world.queue({ id, schema, tenantId: "acme", prefix: "app" });
    await queue.send({ data: { n: 1 } });
    await world.topic({ id, schema }).pub({ data: { n: 1 } });
    const found = (await world.entry.inspect(world.backend).instances()).filter(({ name }) => name.id === id);
    expect(found.map(({ name }) => name)).to.have.deep.members([
      { prefix: "app", kind: "queue", tenantId: "acme", id },
      { prefix: "", kind: "topic", tenantId: "default", id },
    ]);
    for (const { name, stats } of found) {
      const handle = name.kind === "queue" ? queue : world.topic({ id, schema });
      expect(stats).to.deep.equal(await handle.stats());
    }
  },

  "peeks without claiming": async (world) => {
    const id = world.id();
    const queue = world.queue({ id, schema });
    await queue.send({ data: { n: 1 } });
    await queue.send({ data: { n: 2 } });
    const name = { prefix: "", kind: "queue", tenantId: "default", id } as const;
    const inspector = world.entry.inspect(world.backend);
    const [first] = await inspector.peek(name, { limit: 1 });
    expect(first).to.include({ data: '{"n":1}', at: "ready", attempt: 0 });
    expect(await inspector.peek(name)).to.have.length(2);
    expect((await queue.stats()).ready).to.equal(2);
  },

  "says whether anything lasts, and what the browser tells of its storage": async (world) => {
    await world.queue({ id: world.id(), schema }).stats();
    const stats = await world.entry.inspect(world.backend).stats();
    expect(stats.durable).to.equal(world.backend.status.durable);
    // Only browsers tell.
    if (world.name.startsWith("hub")) expect(stats.usageBytes).to.be.within(1, stats.quotaBytes!);
  },

  "an instance that is not there has nothing to peek at": async (world) => {
    const name = { prefix: "", kind: "topic", tenantId: "default", id: world.id() } as const;
    expect(await world.entry.inspect(world.backend).peek(name)).to.deep.equal([]);
  },

  "a limit out of range is a RangeError": async (world) => {
    const name = { prefix: "", kind: "topic", tenantId: "default", id: "x" } as const;
    const error: unknown = await world.entry
      .inspect(world.backend)
      .peek(name, { limit: 0 })
      .catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(RangeError);
  },

  "follows commands and events as they happen": async (world) => {
    const id = world.id();
    const topic = world.topic({ id, schema });
    await topic.stats();
    const trace = follow(world, id);
    await trace.begun();
    const listener = topic.live();
    const heard = listener.next();
    await topic.pub({ data: { n: 7 } });
    await heard;
    await listener.return!();
    const seen = await trace.until("topic.published");
    expect(seen).to.include("topic.publish ok");
  },

  "shows what was refused, and why": async (world) => {
    const id = world.id();
    const queue = world.queue({ id, schema, limits: { payloadBytes: 1 } });
    await queue.stats();
    const trace = follow(world, id);
    await trace.begun();
    await queue.send({ data: { n: 1 } }).catch(() => {});
    await trace.until("queue.send PAYLOAD_TOO_LARGE");
  },

  "a trace ends with its signal": async (world) => {
    const stop = new AbortController();
    const trace = world.entry.inspect(world.backend).trace({ signal: stop.signal });
    const next = trace.next();
    stop.abort();
    expect((await next).done).to.equal(true);
  },

  "sees what other tabs do": {
    skip: ONE_TAB,
    async run(world) {
      const id = world.id();
      const trace = follow(world, id);
      await trace.begun();
      await world
        .tab()
        .queue({ id, schema })
        .send({ data: { n: 1 } });
      await trace.until("queue.send ok");
    },
  },
});

/** Follows one instance's trace. */
function follow(world: World, id: string) {
  const stop = new AbortController();
  const trace = world.entry.inspect(world.backend).trace({ signal: stop.signal });
  const seen: string[] = [];
  const next = async (): Promise<boolean> => {
    const { value, done } = await trace.next();
    if (done) return false;
    if (value.instance.id === id) {
      seen.push(value.type === "command" ? `${value.op} ${value.outcome}` : (value.event as { type: string }).type);
    }
    return true;
  };
  return {
    /** The hub hears of a listener before any later call of the same tab. */
    async begun(): Promise<void> {
      await world.entry.inspect(world.backend).instances();
    },
    async until(what: string): Promise<string[]> {
      while (!seen.includes(what) && (await next()));
      stop.abort();
      return seen;
    },
  };
}
