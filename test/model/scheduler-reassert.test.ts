/** A scheduler's handles over the deaths of hubs: what they tell the next one, and what that one then does. */
import { expect, test } from "vitest";
import { z } from "zod";
import type { Backend, InstanceSpec, Port, Reassertion } from "../../src/client/backend.js";
import { createFlavour } from "../../src/client/flavour.js";
import { createJobFactory } from "../../src/client/job.js";
import { createSchedulerFactory } from "../../src/client/scheduler.js";
import type { Body, CommandName, Kind, Reply } from "../../src/protocol/commands.js";
import type { Json } from "../../src/protocol/json.js";
import { EngineDriver, START } from "./engine-driver.js";
import { restored } from "./restored.js";

const HOUR = 3_600_000;

/** Hubs one after the other in this thread, each made of what its predecessor committed, and one tab. */
class Hubs {
  readonly driver = new EngineDriver();
  readonly #rows = new Map<string, Json>();
  readonly #tells = new Map<string, Set<(hub: { remembers: boolean }) => Reassertion | undefined>>();

  readonly backend = {
    status: { state: "ready" },
    onStatus: () => () => {},
    port: <K extends Kind>(spec: InstanceSpec<K>) => this.#port(spec),
  } as unknown as Backend;

  advance(ms: number): void {
    this.driver.advance(ms);
    this.#settle();
  }

  /** What is not committed is lost; a new hub reads the rest, and is told what handles have to say. */
  die(): void {
    this.driver.space = restored(this.#rows);
    for (const [id, tells] of this.#tells) {
      for (const tell of tells) {
        const told = tell({ remembers: false });
        if (told) this.driver.run(id, told.op, told.body);
      }
    }
    this.advance(0);
  }

  #port(spec: InstanceSpec): Port {
    const { id } = spec.name;
    this.driver.open({ ...spec, seed: "SEEDSEED" });
    return {
      call: <Op extends CommandName>(op: Op, body: Body<Op>) => {
        const seen = this.driver.ask(id, op, body);
        this.#settle();
        if (seen === "parked") return new Promise<Reply<Op>>(() => {});
        if ("error" in seen) throw new Error(JSON.stringify(seen.error));
        return seen.value as Reply<Op>;
      },
      listen: () => () => {},
      reassert: (tell) => {
        const tells = this.#tells.get(id) ?? new Set();
        this.#tells.set(id, tells.add(tell));
        return () => void tells.delete(tell);
      },
    };
  }

  #settle(): void {
    const { space } = this.driver;
    const turn = space.take();
    for (const { key, value } of turn.writes().values()) {
      if (value === undefined) this.#rows.delete(key);
      else this.#rows.set(key, JSON.parse(JSON.stringify(value)) as Json);
    }
    space.committed = turn.id;
    this.driver.takeSettled();
  }
}

function setUp() {
  const hubs = new Hubs();
  const flavour = createFlavour(() => hubs.backend);
  const schema = z.object({});
  const job = createJobFactory(flavour)({ id: "j", schema, process: () => {}, worker: false });
  const make = () => createSchedulerFactory(flavour)({ id: "s" });
  const runs = async () => (await job.list()).entries.length;
  return { hubs, job, make, runs };
}

const START_HOUR = Math.ceil(START / HOUR) * HOUR;

test("a handle that has started goes on at the next hub", async () => {
  const { hubs, job, make, runs } = setUp();
  const scheduler = make();
  await scheduler.register({ id: "hourly", cron: "@hourly", job, input: {} });
  await scheduler.start();
  hubs.advance(START_HOUR - START);
  expect(await runs()).toBe(1);
  hubs.die();
  expect(await scheduler.metrics()).toMatchObject({ isLeader: true, leaderEpoch: 2, dispatchSubmitted: 0 });
  expect(await scheduler.get({ id: "hourly" })).toMatchObject({ nextRunAt: START_HOUR + HOUR, lastRunAt: START_HOUR });
  hubs.advance(HOUR);
  expect(await runs()).toBe(2);
});

test("the next hub knows the handlers of handles that have not started", async () => {
  const { hubs, job, make, runs } = setUp();
  const [registering, starting] = [make(), make()];
  await registering.register({ id: "hourly", cron: "@hourly", job, input: {} });
  await starting.start();
  hubs.die();
  hubs.advance(HOUR);
  expect(await runs()).toBe(1);
});

test("handles that stopped or closed are not there for the next hub", async () => {
  const { hubs, job, make, runs } = setUp();
  const [stopped, closed] = [make(), make()];
  await stopped.register({ id: "hourly", cron: "@hourly", job, input: {} });
  await Promise.all([stopped.start(), closed.start()]);
  await stopped.stop();
  await closed.close();
  hubs.die();
  hubs.advance(HOUR);
  expect(await runs()).toBe(0);
  expect(await stopped.stats()).toMatchObject({ started: 0, schedules: 1 });
});

test("a slot that a hub died over is run by the next one, once", async () => {
  const { hubs, job, make, runs } = setUp();
  const scheduler = make();
  await scheduler.register({ id: "hourly", cron: "@hourly", job, input: {} });
  await scheduler.start();
  // The hub runs the slot, and dies before that is committed.
  hubs.driver.advance(START_HOUR - START);
  hubs.die();
  expect(await runs()).toBe(1);
  hubs.die();
  expect(await runs()).toBe(1);
});
