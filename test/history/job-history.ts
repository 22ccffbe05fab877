/** What a job with steps promised, checked on what its handlers saw and on what came of it. */
import { type Call, type Violation, grouped, isUnknown, precedes, resultOf, unanswered } from "./record.js";

/** Resolves with the job's id. Values are names in the history: no two are alike. */
export type SubmitCall = Call<"submit", { value: string }, string>;
/** `ran`: the step's function was called; `stepped`: `ctx.step` had its result. */
export type StepCall = Call<"ran" | "stepped", { value: string; step: string }, null>;
export type JobCall = SubmitCall | StepCall;

/** What `join` says when all is over. */
export interface Joined {
  readonly id: string;
  readonly status: string;
  readonly result?: unknown;
}

export interface JobHistory {
  readonly calls: readonly JobCall[];
  readonly dead: readonly string[];
  /** What the job with this value is to result in. */
  resultOf(value: string): unknown;
  /** Of every job whose submit was answered. */
  readonly joined: readonly Joined[];
}

export type JobRule = "unanswered" | "lost" | "phantom" | "step taken again" | "wrong result";

export function checkJobs(history: JobHistory): Violation<JobRule>[] {
  const submits = history.calls.filter((call) => call.op === "submit");
  const steps = history.calls.filter((call) => call.op !== "submit");
  const joined = new Map(history.joined.map((one) => [one.id, one]));
  return [
    ...unanswered(history.calls, history.dead),
    ...submits.flatMap((submit) => ending(submit, joined, history)),
    ...phantoms(steps, submits),
    ...takenAgain(steps),
  ];
}

function ending(
  submit: SubmitCall,
  joined: ReadonlyMap<string, Joined>,
  { resultOf: wanted }: JobHistory,
): Violation<JobRule>[] {
  const id = resultOf(submit);
  if (id === undefined) return [];
  const { value } = submit.args;
  const end = joined.get(id);
  if (end?.status !== "completed") return [{ rule: "lost", says: `${value} is ${end?.status ?? "unknown"}` }];
  if (JSON.stringify(end.result) === JSON.stringify(wanted(value))) return [];
  return [{ rule: "wrong result", says: `${value} came to ${JSON.stringify(end.result)}` }];
}

function phantoms(steps: readonly StepCall[], submits: readonly SubmitCall[]): Violation<JobRule>[] {
  const may = new Set(
    submits.filter((call) => resultOf(call) !== undefined || isUnknown(call)).map(({ args }) => args.value),
  );
  const ran = new Set(steps.map(({ args }) => args.value));
  return [...ran].filter((value) => !may.has(value)).map((value) => ({ rule: "phantom", says: `${value} ran` }));
}

/** A step that a handler had the result of is taken by nobody again. */
function takenAgain(steps: readonly StepCall[]): Violation<JobRule>[] {
  const byStep = grouped(steps, ({ args }) => `${args.value}/${args.step}`);
  return [...byStep].flatMap(([name, calls]): Violation<JobRule>[] => {
    const ends = calls.filter(({ op }) => op === "stepped");
    const again = calls.filter(({ op, invoked }) => op === "ran" && ends.some((end) => precedes(end.invoked, invoked)));
    if (again.length === 0) return [];
    return [{ rule: "step taken again", says: `${name} by ${again.map(({ invoked }) => invoked.tab).join(", ")}` }];
  });
}
