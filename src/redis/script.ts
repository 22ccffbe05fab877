import type { InstanceSpec, Port } from "../client/backend.js";
import type { Body, CommandName, Configs, InstanceName, Kind, Reply } from "../protocol/commands.js";
import type { Commands } from "../protocol/commands.js";

/** What a script is told of the call besides the command's body. */
export interface CallInfo {
  /** Names this process: what it claims is its. */
  readonly owner: string;
  /** Names the call among those that wait. */
  readonly callId: string;
  /** How long it may still wait; 0: answer now. */
  readonly waitMs: number;
}

export type Argument = string | number;

/** As a client library gives a reply: integers, texts, null, lists of them. */
export type Raw = string | number | null | Raw[];

/** One Lua script: how a command becomes its arguments, and its reply the command's. */
export interface Script<Op extends CommandName = CommandName> {
  /** lua/<name>.lua, with "-" for ".". */
  readonly lua: string;
  /**
   * Calls of one moment run in one script: its arguments are those of each call, one after the other, as many for each;
   * it replies with a list, one reply (or error) per call.
   */
  readonly many?: true;
  args(body: Body<Op>, call: CallInfo): readonly Argument[];
  reply(raw: never, body: Body<Op>): Reply<Op>;
  /** For what is done in portions: there is more, and the call goes on with this. */
  again?(raw: never, body: Body<Op>): Body<Op> | undefined;
  /**
   * For commands that may wait: what is answered when nothing came. Such scripts reply `{1, reply}`, or `{0}` for
   * "nothing yet", having put the call's id among the waiters when it may wait.
   */
  none?(body: Body<Op>): Reply<Op>;
  /**
   * What a call that waits is woken by: "wake a b" asks again for those whose lane is a or b, "wake" for all. A text
   * without blanks.
   */
  lane?(body: Body<Op>): string;
  /** Lanes in which calls of this very process may be answered now that this call is. */
  opens?(body: Body<Op>): readonly string[];
  /** Whether this call, run twice, has the effect of one: then it is sent again when its reply was lost. */
  repeatable?(body: Body<Op>): boolean;
  /** For the calls that most calls are. Replies `ELSE` when it is not enough: then the whole script runs. */
  readonly plain?: PlainScript<Op>;
  /**
   * Calls of such scripts may overtake each other, though never one of another: the next need not wait until the server
   * has taken those before.
   */
  readonly unordered?: true;
  /** Takes what counts as held by this process: from then on its lease is renewed (prelude-owners.lua). */
  readonly holds?: true;
}

/** With fewer arguments, keys and functions, which is what a short script costs. It replies as the whole one. */
export interface PlainScript<Op extends CommandName = CommandName> extends Pick<Script<Op>, "lua" | "many" | "args"> {
  /** Whether it may be tried. */
  suits(body: Body<Op>): boolean;
}

/**
 * A command that runs in this process, because it needs what Lua has not, or another instance. It asks the server step
 * by step; what dies in between leaves what the steps before have done. Calls of this process that come after it wait.
 */
export interface Routine<Op extends CommandName = CommandName, R extends Resident = Resident> {
  run(body: Body<Op>, resident: R): Promise<Reply<Op>>;
}

/** A script that is a part of a routine, or of what a process does by itself. Run twice, it has the effect of one. */
export interface Step<Asked, Answer> {
  readonly lua: string;
  readonly many?: true;
  readonly repeatable: () => boolean;
  args(asked: Asked, call: CallInfo): readonly Argument[];
  reply(raw: never, asked: Asked): Answer;
}

export function step<Asked, Answer>(parts: Omit<Step<Asked, Answer>, "repeatable">): Step<Asked, Answer> {
  return { repeatable: () => true, ...parts };
}

/** What routines and residents work with. */
export interface Tools {
  readonly name: InstanceName;
  /** Names this process. */
  readonly owner: string;
  ask<Asked, Answer>(step: Step<Asked, Answer>, asked: Asked): Promise<Answer>;
  /** Another instance as it is; made with these settings only when there is none. */
  visit<K extends Kind>(spec: InstanceSpec<K>): Port;
}

/** What a process does at an instance by itself. One for each process, there as long as the process uses the instance. */
export interface Resident {
  /** Something may be to do: the instance says so, time was moved, the server is back. Resolves when it is done. */
  look(): Promise<void>;
  /** Something is due in so many milliseconds. */
  due(ms: number): void;
  /** The backend closes: ends what this process has here. */
  leave(): Promise<void>;
  /** Nothing is done any more. */
  end(): void;
}

export type OpsOf<K extends Kind> = Extract<keyof Commands, `${K}.${string}`>;

/** How one kind of instance lives on Redis. */
export interface RedisKind<K extends Kind, R extends Resident = Resident> {
  readonly scripts: { readonly [Op in OpsOf<K>]: Script<Op> | Routine<Op, R> };
  /** Scripts of routines and residents, of `unwait` and `peek`. */
  readonly steps?: Readonly<Record<string, { readonly lua: string }>>;
  readonly resident?: (tools: Tools) => R;
  /** Fields of the instance's hash that scripts read, besides what instance-open.lua writes. */
  settings(config: Configs[K]): Readonly<Record<string, Argument>>;
  /** Things come due in it that somebody may wait for: processes with a handle listen, and sweep in time. */
  readonly sweep?: string;
  /** What a process has said of itself (`Port.reassert`) is said again this often, so that those that died are forgotten. */
  readonly reassertMs?: number;
  /** Ends what this process holds: run when the backend closes. */
  readonly goodbye?: string;
  /** Run for calls that wait no longer, when more is to be done than to forget them (instance-unwait.lua). */
  readonly unwait?: string;
  /** Names what a reply has handed to this process and must be handed back at the end, and what a call gave back. */
  readonly tracks?: {
    taken(op: CommandName, reply: unknown): readonly string[];
    settled(op: CommandName, body: unknown): readonly string[];
    handBack(port: Port, taken: readonly string[]): Promise<unknown>;
  };
  peek(
    port: Port,
    limit: number,
    spec: InstanceSpec<K>,
    look: (lua: string, args: readonly Argument[]) => Promise<Raw>,
  ): Promise<readonly unknown[]>;
}

/** For scripts whose reply is the command's, as it is. */
export const asIs = (raw: never): never => raw;
/** Lua's true is 1, its false and nil are null. */
export const asBoolean = (raw: number | null): boolean => raw === 1;
export const asNull = (): null => null;
