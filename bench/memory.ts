/** P1: operations of tabloom/memory in Node, one await each, beside a loop that does nothing but await, parse, check. */
import { mkdirSync, writeFileSync } from "node:fs";
import { Session } from "node:inspector/promises";
import { type Backend, type Queue, connect, queue, topic } from "../src/memory.js";
import type { Run } from "./main.js";
import { makePayload, payload } from "./payload.js";
import { type Row, compare } from "./report.js";
import { interleave } from "./rounds.js";

const OPERATIONS = 20_000;

/** Operations per second of the system whose API this is, on a machine of two cores, and the multiple that is wanted. */
const WANTED = {
  send: { label: "queue send", reference: 551_000, times: 1 },
  receive: { label: "queue receive + ack", reference: 119_000, times: 3 },
  publish: { label: "topic publish", reference: 461_000, times: 1 },
  replay: { label: "topic replay", reference: 869_000, times: 1 },
};

type Operation = keyof typeof WANTED;

export async function memory(run: Run): Promise<Row[]> {
  run.progress("memory P1");
  const backend = connect();
  const operations = makeOperations(backend);
  const figures = await interleave({ ...operations, calibration });
  if (run.profileFolder) await takeProfiles(operations, run.profileFolder);
  await backend.close();
  return (Object.keys(WANTED) as Operation[]).map((operation) => {
    const { label, reference, times } = WANTED[operation];
    return compare({
      target: "P1",
      label: `${label}; other: calibration loop`,
      unit: "/s",
      ours: figures[operation],
      other: figures.calibration,
      wants: `≥ ${times} × ${reference.toLocaleString("en")}/s (reference, taken apart)`,
      met: ({ ours }) => ours >= times * reference,
    });
  });
}

/** Each round has a backend of its own; receive takes what send of that round left, replay what publish left. */
function makeOperations(backend: Backend): Record<Operation, () => Promise<number>> {
  let jobs: Queue<typeof payload>;
  let log: ReturnType<typeof makeTopic>;
  let round = 0;
  const makeTopic = () => topic({ id: `t${round}`, schema: payload, backend });
  return {
    send() {
      jobs = queue({ id: `q${++round}`, schema: payload, backend });
      return rate(async () => {
        for (let i = 0; i < OPERATIONS; i++) await jobs.send({ data: makePayload(i) });
      });
    },
    receive: () =>
      rate(async () => {
        for (let i = 0; i < OPERATIONS; i++) await (await jobs.recv())!.ack();
      }),
    publish() {
      log = makeTopic();
      return rate(async () => {
        for (let i = 0; i < OPERATIONS; i++) await log.pub({ data: makePayload(i) });
      });
    },
    replay: () =>
      rate(async () => {
        let seen = 0;
        for await (const _ of log.live({ after: "0-0" })) if (++seen === OPERATIONS) break;
      }),
  };
}

/** The floor of any operation that stores JSON and checks it. */
function calibration(): Promise<number> {
  const text = JSON.stringify(makePayload(0));
  return rate(async () => {
    for (let i = 0; i < OPERATIONS; i++) payload.parse(await Promise.resolve(JSON.parse(text)));
  });
}

async function rate(loop: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await loop();
  return OPERATIONS / ((performance.now() - start) / 1000);
}

async function takeProfiles(operations: Record<Operation, () => Promise<number>>, folder: string): Promise<void> {
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  mkdirSync(folder, { recursive: true });
  for (const group of [
    ["send", "receive"],
    ["publish", "replay"],
  ] as const) {
    const profiles: Record<string, unknown> = {};
    for (let i = 0; i < 10; i++) {
      for (const operation of group) {
        if (i === 5) await session.post("Profiler.start");
        await operations[operation]();
        if (i === 5) ({ profile: profiles[operation] } = await session.post("Profiler.stop"));
      }
    }
    for (const [name, profile] of Object.entries(profiles)) {
      writeFileSync(`${folder}/P1-${name}.cpuprofile`, JSON.stringify(profile));
    }
  }
  session.disconnect();
}
