/** A cluster loses a master, on purpose or not. */
import { Cluster } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startLoad } from "./load.js";
import { closeAll, drain, newPrefix, outcome, parked, processAt, says, textQueue } from "./processes.js";
import { type ClusterServers, type Server, startCluster, until } from "./server.js";

let cluster: ClusterServers;

beforeAll(async () => {
  cluster = await startCluster({ replicas: true });
}, 60_000);
beforeEach(() => cluster.healed(), 60_000);
afterEach(closeAll);
afterAll(() => cluster?.stop());

const nodes = (): Server[] => [...cluster.masters, ...cluster.replicas];
const newProcess = (prefix: string) => processAt(new Cluster(cluster.nodes, { lazyConnect: true }), prefix);

interface Shard {
  readonly slots: readonly [number, number];
  readonly master: Server;
  readonly replica: Server;
}

/** Who serves which slots now, and who would take its place. */
async function shards(): Promise<Shard[]> {
  const living = await Promise.any(nodes().map(async (node) => (await node.ask("CLUSTER", "SLOTS")) as Slots));
  return living.map(([from, to, ...serving]) => {
    const [master, replica] = serving.map(([, port]) => nodes().find((node) => node.port === port)!);
    return { slots: [from, to], master: master!, replica: replica! };
  });
}
type Slots = [number, number, ...[string, number][]][];

/** Where the instance lives now. */
async function homeOf(prefix: string, id = "work"): Promise<Shard> {
  const slot = Number(await cluster.masters[0]!.ask("CLUSTER", "KEYSLOT", `${prefix}:{queue::default:${id}}:meta`));
  return (await shards()).find(({ slots: [from, to] }) => slot >= from && slot <= to)!;
}

/** Resolves when both know: until then the old master may keep a call without an answer for as long as it may pause. */
async function failOver(...moved: Shard[]): Promise<void> {
  // The masters elect a shard's new one at most once in two node timeouts (server.ts); until then they ignore the question.
  await new Promise((resolve) => setTimeout(resolve, 2100));
  for (const { master, replica } of moved) {
    await replica.ask("CLUSTER", "FAILOVER");
    await until("the old master knows", async () => String(await master.ask("ROLE")).startsWith("slave"));
  }
}

const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => `${i}`);

describe("under work of every kind", { timeout: 90_000 }, () => {
  const newLoad = () => startLoad(() => new Cluster(cluster.nodes, { lazyConnect: true }), newPrefix());

  test("every master makes way for its replica: nothing is lost, nothing is doubled", async () => {
    const load = newLoad();
    await load.goesOn();
    await failOver(...(await shards()));
    const movedAt = performance.now();
    await load.goesOn();
    says("all work after three planned failovers", movedAt);
    expect(await load.end()).toEqual([]);
  });

  test("a master is killed: what it had not copied may be lost, nothing is doubled", async () => {
    const load = newLoad();
    await load.goesOn();
    const [{ master, replica }] = (await shards()) as [Shard];
    await master.kill();
    await until("its replica is master", async () => String(await replica.ask("ROLE")).startsWith("master"));
    const movedAt = performance.now();
    await load.goesOn();
    says("all work after a master's death", movedAt);
    expect(await load.end({ lossy: true })).toEqual([]);
    await master.restart();
  });
});

describe("a planned failover", { timeout: 60_000 }, () => {
  test("under load: everything is there once and in order", async () => {
    const prefix = newPrefix();
    const queue = textQueue(newProcess(prefix));
    await queue.send({ data: "0" });
    const { replica, master } = await homeOf(prefix);
    const sending: Promise<unknown>[] = [];
    const failover = replica.ask("CLUSTER", "FAILOVER");
    let sent = 1;
    await until("the other one is master, and was for some calls", async () => {
      for (let i = 0; i < 20; i++) sending.push(queue.send({ data: `${sent++}` }));
      return String(await master.ask("ROLE")).startsWith("slave");
    });
    await failover;
    for (let i = 0; i < 20; i++) sending.push(queue.sendMany([{ data: `${sent++}` }]));
    // A failover moves slots after everything has been copied: nothing that was sent is in doubt.
    await Promise.all(sending);
    expect(await drain(queue)).toEqual(numbers(sent));
  });

  test("a parked recv, and one in another process, go on at the new master", async () => {
    const prefix = newPrefix();
    const [near, far] = [textQueue(newProcess(prefix)), textQueue(newProcess(prefix))];
    const received = [near.recv({ timeoutMs: 60_000 }), far.recv({ timeoutMs: 60_000 })];
    await parked(near, 2);
    await failOver(await homeOf(prefix));
    const movedAt = performance.now();
    await textQueue(newProcess(prefix)).sendMany([{ data: "a" }, { data: "b" }]);
    expect(new Set((await Promise.all(received)).map((message) => message?.data))).toEqual(new Set(["a", "b"]));
    says("parked recv after a planned failover", movedAt);
  });

  test("a message that is held stays held", async () => {
    const prefix = newPrefix();
    const queue = textQueue(newProcess(prefix));
    await queue.send({ data: "a" });
    const message = (await queue.recv())!;
    await failOver(await homeOf(prefix));
    expect(await queue.recv({ wait: false })).toBeNull();
    expect(await message.ack()).toBe(true);
  });
});

describe("a master that is killed", { timeout: 90_000 }, () => {
  test("calls go on at its replica; what was copied is there once and in order", async () => {
    const prefix = newPrefix();
    const queue = textQueue(newProcess(prefix));
    const { master, replica } = await homeOf(prefix);
    const accepted: string[] = [];
    const unknown: string[] = [];
    let n = 0;
    const send = async (): Promise<void> => {
      const data = `${n++}`;
      const what = await outcome(queue.send({ data }));
      if (typeof what === "object") accepted.push(data);
      else if (what === "INDETERMINATE") unknown.push(data);
      else if (what !== "OFFLINE") throw new Error(`not what this fault brings: ${JSON.stringify(what)}`);
    };
    for (let i = 0; i < 20; i++) await Promise.all(Array.from({ length: 10 }, send));
    // What is acknowledged and not yet copied when a master dies is lost: so Redis says. These are copied.
    await until("its replica has it all", async () => (await offsetOf(master)) === (await offsetOf(replica)));
    const before = accepted.length;
    const underWay = Array.from({ length: 30 }, send);
    await new Promise(setImmediate);
    await master.kill();
    const killedAt = performance.now();
    await Promise.all(underWay);
    // One-shot calls may not wait as long as the cluster needs to be sure of a death.
    await until(
      "calls go on",
      async () => (await outcome(queue.send({ data: `${n++}`, idempotencyKey: `${n}` }))) !== "OFFLINE",
    );
    says("calls after a master's death", killedAt);
    const left = await drain(queue);
    expect(new Set(left).size).toBe(left.length);
    expect(left.filter((data) => Number(data) < before)).toEqual(accepted.slice(0, before));
    expect(left.map(Number)).toEqual(left.map(Number).sort((a, b) => a - b));
    await master.restart();
  });

  test("a parked recv and a stream go on", async () => {
    const prefix = newPrefix();
    const [waiting, streaming] = [textQueue(newProcess(prefix)), textQueue(newProcess(prefix))];
    const received = waiting.recv({ timeoutMs: 60_000 });
    await parked(streaming);
    const streamed = (async () => {
      for await (const message of streaming.stream({ timeoutMs: 60_000 })) return message.data;
      return undefined;
    })();
    await parked(waiting, 2);
    const { master, replica } = await homeOf(prefix);
    await master.kill();
    await until("its replica is master", async () => String(await replica.ask("ROLE")).startsWith("master"));
    const movedAt = performance.now();
    const sender = textQueue(newProcess(prefix));
    await until("the cluster takes calls", async () => {
      const what = await outcome(sender.sendMany(["a", "b"].map((data) => ({ data, idempotencyKey: data }))));
      return Array.isArray(what);
    });
    expect(new Set([(await received)?.data, await streamed])).toEqual(new Set(["a", "b"]));
    says("parked recv and stream after a master's death", movedAt);
    await master.restart();
  });

  test("an instance on another master notices nothing", async () => {
    const prefix = newPrefix();
    const { master: elsewhere } = await homeOf(prefix, "here");
    let there = "there";
    while ((await homeOf(prefix, there)).master === elsewhere) there += "!";
    const process = newProcess(prefix);
    const [a, b] = [textQueue(process, { id: "here" }), textQueue(process, { id: there })];
    await Promise.all([a.send({ data: "a" }), b.send({ data: "b" })]);
    const { master } = await homeOf(prefix, there);
    await master.kill();
    const held = b.send({ data: "c", idempotencyKey: "c" });
    expect(await drain(a)).toEqual(["a"]);
    await a.send({ data: "again" });
    expect(await drain(a)).toEqual(["again"]);
    expect(await outcome(held)).toMatchObject({ duplicate: false });
    await master.restart();
  });
});

async function offsetOf(server: Server): Promise<string | undefined> {
  return /master_repl_offset:(\d+)/.exec(String(await server.ask("INFO", "replication")))?.[1];
}
