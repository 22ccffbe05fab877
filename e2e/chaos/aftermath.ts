/** When the faults are over: tabs finish what they began, and say what is left. */
import type { BackendStatus } from "../../src/index.js";
import type { Joined } from "../../test/history/job-history.js";
import { type AnyCall, type Violation, callsOf, resultOf } from "../../test/history/record.js";
import type { Event } from "../../test/history/topic-history.js";
import { type ChaosTab, pause } from "./tab.js";
import type { World } from "./world.js";

/** Longer than any deadline that a call has. */
const DEADLINE_MS = 40_000;
/** Longer than anything takes that has no deadline: a hub to be replaced, a lease to end. */
const SOON_MS = 15_000;
const NO_FAULTS = { dieAfterCommits: 0, dieInCommits: 0, failCommits: 0, full: false, dieAfterSlices: 0 };

export interface Aftermath {
  readonly calls: readonly AnyCall[];
  readonly dead: readonly string[];
  /** What is in the queue for good. */
  readonly left: readonly { value: string; messageId: string }[];
  readonly log: readonly Event[];
  readonly counters: Readonly<Record<string, number>>;
  readonly joined: readonly Joined[];
  /** What did not come about. */
  readonly violations: readonly Violation<string>[];
}

export async function aftermath(world: World): Promise<Aftermath> {
  const violations: Violation<string>[] = [];
  const missing = (rule: string, says: string): void => void violations.push({ rule, says });
  await world.calm();
  if (world.living.length === 0) await world.open();
  await world.disturb({ faults: NO_FAULTS }, { all: true });
  // What was to be in a second may be in an hour, for a hub whose clock is not that of the one before.
  if (world.stepped) await world.disturb({ stepMs: 3 * 3_600_000 }, { all: true });

  await Promise.all(world.living.map((tab) => tab.ask(() => endGiving().then(() => true), [], DEADLINE_MS)));
  await converge(world, missing);
  const tab = world.living[0]!;
  const log = (await tab.ask(() => replay(), [], SOON_MS)) ?? [];
  const joined = (await tab.ask((ids) => joinAll(ids), [submittedIn(world)], DEADLINE_MS)) ?? [];
  await drain(tab, missing);
  if (world.plan.kind !== "deleted") await hearAll(world, log, missing);
  await Promise.all(
    world.living.map(async (one) => {
      if (!(await one.ask(() => endTaking().then(() => true), [], SOON_MS)))
        missing("never ended", `${one.name} could not end what it received`);
    }),
  );
  const left = await tab.ask(() => deadLetters(), [], SOON_MS);
  const counters = await tab.ask(() => countersNow(), [], SOON_MS);
  if (!left || !counters) missing("unanswered", `${tab.name} could not say what is left`);
  const calls = callsOf(world.record.notes, world.record.clocks);
  return { calls, dead: world.record.dead, left: left ?? [], log, counters: counters ?? {}, joined, violations };
}

type Missing = (rule: string, says: string) => void;

function submittedIn({ record }: World): string[] {
  return callsOf(record.notes, record.clocks)
    .filter(({ op }) => op === "submit")
    .flatMap((call) => (resultOf(call) as string | undefined) ?? []);
}

/** Every tab is at the same hub, and it is the only one. */
async function converge({ living }: World, missing: Missing): Promise<void> {
  let seen: (BackendStatus | undefined)[] = [];
  let owning: number | undefined;
  const isOne = async (): Promise<boolean> => {
    seen = await Promise.all(living.map((tab) => tab.ask(() => ({ ...backend.status }), [])));
    owning = await living[0]!.ask(() => owners(), []);
    const epochs = new Set(seen.map((status) => status?.epoch));
    return owning === 1 && epochs.size === 1 && seen.every((status) => status?.connected && status.state === "ready");
  };
  if (await within(isOne)) return;
  const says = seen.map((status, i) => `${living[i]!.name}: ${status ? `${status.state} ${status.epoch}` : "silent"}`);
  missing("one hub", `${owning} owners; ${says.join(", ")}`);
}

async function drain(tab: ChaosTab, missing: Missing): Promise<void> {
  const stats = () => tab.ask(() => q.stats(), []);
  if (await within(async () => (await stats())?.depth === 0)) return;
  const held = await tab.ask((limit) => peekQueue(limit), [5]);
  missing("never drained", `the queue still holds ${JSON.stringify({ ...(await stats()), ...held })}`);
}

/** Listeners hear what they have not heard yet, and the group takes what is left. */
async function hearAll({ living, record }: World, log: readonly Event[], missing: Missing): Promise<void> {
  const last = log.at(-1)?.value;
  const isHeard = async (): Promise<boolean> => {
    const heard = record.notes.filter((note) => "op" in note && note.op === "heard") as { tab: string; args: Event }[];
    const deaf = living.filter(
      ({ name }) =>
        heard.some((note) => note.tab === name) && !heard.some((note) => note.tab === name && note.args.value === last),
    );
    const taken = new Set(record.notes.map((note) => "value" in note && (note.value as Event | null)?.eventId));
    return deaf.length === 0 && log.every(({ eventId }) => taken.has(eventId));
  };
  if (!(await within(isHeard))) missing("never heard", `not everybody heard ${last}, or it was not taken`);
}

async function within(condition: () => Promise<boolean>): Promise<boolean> {
  for (const end = performance.now() + SOON_MS; performance.now() < end; await pause(20)) {
    if (await condition()) return true;
  }
  return false;
}
