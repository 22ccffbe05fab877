import { checkCounters } from "../../test/history/counter-history.js";
import { checkJobs } from "../../test/history/job-history.js";
import { checkMutex, type MutexCall } from "../../test/history/mutex-history.js";
import { checkQueue } from "../../test/history/queue-history.js";
import type { QueueCall } from "../../test/history/queue-told.js";
import { type AnyCall, type Violation, unanswered } from "../../test/history/record.js";
import { checkTopic } from "../../test/history/topic-history.js";
import type { Access } from "../../test/history/mutex-history.js";
import type { Aftermath } from "./aftermath.js";
import type { Plan } from "./plan.js";

/** Every promise that this seed's faults leave in force. */
export function judge(
  plan: Plan,
  after: Aftermath,
  { faults, register }: { faults: readonly string[]; register: readonly Access[] },
): Violation<string>[] {
  const { dead, violations } = after;
  const of = <Call extends AnyCall>(...ops: Call["op"][]): Call[] =>
    after.calls.filter(({ op }) => ops.includes(op)) as Call[];
  const found = [
    ...violations,
    ...refusals(plan, after, faults),
    ...unanswered(of("forgetful send", "forgetful recv", "forgetful ack"), dead),
  ];
  if (plan.kind === "deleted") return [...found, ...unanswered(after.calls, dead)];
  const queue = checkQueue({
    ordering: plan.ordering,
    calls: of<QueueCall>("send", "recv", "ack", "touch", "nack"),
    dead,
    left: after.left,
  });
  return [
    ...found,
    ...queue.filter(({ rule }) => plan.kind === "orderly" || !HANDED_BACK.includes(rule)),
    ...checkMutex({ calls: of<MutexCall>("acquire", "extend", "access", "release", "lost"), dead, register }),
    ...checkTopic({ calls: of("pub", "take", "commit", "heard"), dead, log: after.log }),
    ...checkCounters({ calls: of("get", "cas"), dead, final: after.counters }),
    ...checkJobs({
      calls: of("submit", "ran", "stepped"),
      dead,
      joined: after.joined,
      resultOf: (value) => ["one", "two"].map((step) => `${value}/${step}`),
    }),
  ];
}

/** What a tab hands back when it goes was, for the queue, never given: it takes its place and its attempt again. */
const HANDED_BACK: readonly string[] = ["first in, first out", "attempt counted wrong"];

/** Nothing of what was asked for could be refused but for these reasons. */
function refusals({ kind }: Plan, { calls }: Aftermath, faults: readonly string[]): Violation<string>[] {
  const allowed = new Set([
    "ABORTED",
    ...(faults.includes("disk full") ? ["QUOTA"] : []),
    ...(kind === "deleted" ? ["STORAGE", "EPOCH_CHANGED", "GAP"] : []),
  ]);
  return calls.flatMap(({ op, args, outcome, invoked }): Violation<string>[] => {
    const error = op === "deaf" ? (args as { error: string }).error : outcome && "error" in outcome && outcome.error;
    if (!error || allowed.has(error) || (op.startsWith("forgetful") && error === "EPOCH_CHANGED")) return [];
    return [{ rule: "refused", says: `${invoked.tab}: ${op} ${JSON.stringify(args)} with ${error}` }];
  });
}
