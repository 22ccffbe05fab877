/** What a topic promised, checked on what tabs saw of it and on what its log says when all is over. */
import {
  type AnyCall,
  type Call,
  type Violation,
  grouped,
  isBefore,
  isUnknown,
  precedes,
  resultOf,
  unanswered,
} from "./record.js";

/** An event as a tab published it. Its value is its name in the history: no two are alike. */
export interface Published {
  readonly value: string;
  readonly idempotencyKey?: string;
}

/** An event as it came out. */
export interface Event {
  readonly value: string;
  readonly eventId: string;
  /** Its place in the log, after the last dot; places are dense. */
  readonly cursor: string;
}

/** Several items in one call: all or none. */
export type PubCall = Call<
  "pub",
  { items: readonly Published[] },
  readonly { eventId: string; cursor: string; duplicate: boolean }[]
>;
/** A reader of the one group took an event, or none was there. */
export type TakeCall = Call<"take", object, Event | null>;
export type CommitCall = Call<"commit", { eventId: string }, boolean>;
/** What a tab's live listener heard, which it began with. */
export type HeardCall = Call<"heard", { value: string; cursor: string }, null>;
export type TopicCall = PubCall | TakeCall | CommitCall | HeardCall;

export interface TopicHistory {
  readonly calls: readonly TopicCall[];
  /** Tabs that died: what became of their last calls is unknown. */
  readonly dead: readonly string[];
  /** Everything that a replay from the beginning gave at the end, when nothing was under way. */
  readonly log: readonly Event[];
}

export type TopicRule =
  | "unanswered"
  | "lost"
  | "phantom"
  | "applied twice"
  | "hole in the log"
  | "order of publishing"
  | "all or none"
  | "one effect per idempotency key"
  | "hole in what was heard"
  | "committed twice"
  | "never taken";

export function checkTopic(history: TopicHistory): Violation<TopicRule>[] {
  return [
    ...unanswered(history.calls, history.dead),
    ...outcomes(history),
    ...logItself(history),
    ...order(history),
    ...heard(history),
    ...group(history),
  ];
}

function pubsOf({ calls }: TopicHistory): PubCall[] {
  return calls.filter((call) => call.op === "pub");
}

/** What became of each item, against what its publisher was told. */
function outcomes(history: TopicHistory): Violation<TopicRule>[] {
  const eventOf = new Map([...history.log].reverse().map((event) => [event.value, event]));
  const ids = new Set(history.log.map(({ eventId }) => eventId));
  return pubsOf(history).flatMap((call) => {
    const told = resultOf(call);
    const { items } = call.args;
    if (!told && isUnknown(call)) return allOrNone(items, eventOf);
    return items.flatMap(({ value, idempotencyKey }, i): Violation<TopicRule>[] => {
      const reply = told?.[i];
      const there = eventOf.get(value);
      if (!reply || reply.duplicate) {
        if (there) return [{ rule: "phantom", says: `${value} is there, its publisher was told otherwise` }];
        if (!reply || ids.has(reply.eventId)) return [];
        return [
          { rule: "one effect per idempotency key", says: `${value} repeats ${idempotencyKey}, which is not there` },
        ];
      }
      if (!there) return [{ rule: "lost", says: `${value} was accepted as ${reply.cursor}, and is not there` }];
      if (there.eventId === reply.eventId && there.cursor === reply.cursor) return [];
      return [{ rule: "phantom", says: `${value} was accepted as ${reply.cursor}, and is at ${there.cursor}` }];
    });
  });
}

function allOrNone(items: readonly Published[], eventOf: ReadonlyMap<string, Event>): Violation<TopicRule>[] {
  // One with an idempotency key may have been there before.
  const values = items.filter(({ idempotencyKey }) => idempotencyKey === undefined).map(({ value }) => value);
  const missing = values.filter((value) => !eventOf.has(value));
  if (missing.length === 0 || missing.length === values.length) return [];
  return [{ rule: "all or none", says: `of ${values.join(", ")} only ${missing.join(", ")} are missing` }];
}

function logItself(history: TopicHistory): Violation<TopicRule>[] {
  const violations: Violation<TopicRule>[] = [];
  const items = new Map(pubsOf(history).flatMap(({ args }) => args.items.map((item) => [item.value, item] as const)));
  const seen = new Set<string>();
  const keys = new Set<string>();
  for (const [i, { value, cursor }] of history.log.entries()) {
    const before = history.log[i - 1];
    if (before && placeOf(cursor) !== placeOf(before.cursor) + 1)
      violations.push({ rule: "hole in the log", says: `${cursor} follows ${before.cursor}` });
    const item = items.get(value);
    if (!item) violations.push({ rule: "phantom", says: `${value} was never published` });
    if (seen.has(value)) violations.push({ rule: "applied twice", says: `${value} is there twice` });
    seen.add(value);
    const key = item?.idempotencyKey;
    if (key === undefined) continue;
    if (keys.has(key))
      violations.push({ rule: "one effect per idempotency key", says: `${key} has a second event, ${value}` });
    keys.add(key);
  }
  return violations;
}

/** In the order in which a tab published, and in which the calls of several are known to have come. */
function order(history: TopicHistory): Violation<TopicRule>[] {
  const callOf = new Map(
    pubsOf(history).flatMap((call) => call.args.items.map(({ value }, i) => [value, { call, i }])),
  );
  const violations: Violation<TopicRule>[] = [];
  /** Per tab the last of what came before in the log; and of all the one that was published last. */
  const lastOfTab = new Map<string, { call: PubCall; i: number; value: string }>();
  let last: { call: PubCall; value: string } | undefined;
  for (const { value } of history.log) {
    const published = callOf.get(value);
    if (!published) continue;
    const { call, i } = published;
    const { tab, n, from } = call.invoked;
    const mine = lastOfTab.get(tab);
    const overtakes = (other: string): void =>
      void violations.push({
        rule: "order of publishing",
        says: `${value} was published before ${other}, and is behind it`,
      });
    if (mine && (mine.call.invoked.n > n || (mine.call === call && mine.i > i))) overtakes(mine.value);
    else lastOfTab.set(tab, { ...published, value });
    if (last && isBefore(call, last.call)) overtakes(last.value);
    if (!last || last.call.invoked.from < from) last = { call, value };
  }
  return violations;
}

/** A listener hears everything from its first event to the end, in order, each once. */
function heard({ calls, dead, log }: TopicHistory): Violation<TopicRule>[] {
  const byTab = grouped(
    calls.filter((call) => call.op === "heard"),
    ({ invoked }) => invoked.tab,
  );
  return [...byTab].flatMap(([tab, heardBy]): Violation<TopicRule>[] => {
    const values = heardBy.sort((a, b) => a.invoked.n - b.invoked.n).map(({ args }) => args.value);
    const begin = log.findIndex(({ value }) => value === values[0]);
    const end = dead.includes(tab) ? begin + values.length : log.length;
    const expected = log.slice(begin, end).map(({ value }) => value);
    const at = Array.from({ length: Math.max(values.length, expected.length) }, (_, i) => i).find(
      (i) => values[i] !== expected[i],
    );
    if (at === undefined) return [];
    const says = `${tab} heard ${values[at] ?? "nothing"} as its ${at + 1}th, where the log has ${expected[at] ?? "nothing"}`;
    return [{ rule: "hole in what was heard", says }];
  });
}

/** Every event was taken by the group, and committed once at most. */
function group({ calls, log }: TopicHistory): Violation<TopicRule>[] {
  const takes = calls.filter((call) => call.op === "take");
  const taken = new Set(takes.map((call) => resultOf(call)?.eventId));
  const committed = grouped(
    calls.filter((call) => call.op === "commit").filter((call) => resultOf(call) === true),
    ({ args }) => args.eventId,
  );
  return [
    ...log
      .filter(({ eventId }) => !taken.has(eventId))
      .map(({ value }): Violation<TopicRule> => ({ rule: "never taken", says: `${value} was given to no reader` })),
    ...[...committed].flatMap(([eventId, commits]): Violation<TopicRule>[] => {
      if (commits.length > 1) return [{ rule: "committed twice", says: `${eventId} by ${tabsOf(commits)}` }];
      const late = takes.filter(
        (take) => resultOf(take)?.eventId === eventId && precedes(commits[0]!.outcome!.at, take.invoked),
      );
      if (late.length === 0) return [];
      return [{ rule: "committed twice", says: `${eventId} was committed, then given to ${tabsOf(late)}` }];
    }),
  ];
}

function placeOf(cursor: string): number {
  return Number(cursor.slice(cursor.lastIndexOf(".") + 1));
}

function tabsOf(calls: readonly AnyCall[]): string {
  return calls.map(({ invoked }) => invoked.tab).join(", ");
}
