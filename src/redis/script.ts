import type { InstanceSpec, Port } from "../client/backend.js";
import type { Body, CommandName, Configs, Kind, Reply } from "../protocol/commands.js";
import type { Commands } from "../protocol/commands.js";
import type { Json } from "../protocol/json.js";

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
  /**
   * For commands that may wait: what is answered when nothing came. Such scripts reply `{1, reply}`, or `{0}` for
   * "nothing yet", having put the call's id among the waiters when it may wait.
   */
  none?(body: Body<Op>): Reply<Op>;
  /** Whether this call, run twice, has the effect of one: then it is sent again when its reply was lost. */
  repeatable?(body: Body<Op>): boolean;
  /** Takes what counts as held by this process: from then on its lease is renewed (prelude-owners.lua). */
  readonly holds?: true;
}

export type OpsOf<K extends Kind> = Extract<keyof Commands, `${K}.${string}`>;

/** How one kind of instance lives on Redis. */
export interface RedisKind<K extends Kind> {
  readonly scripts: { readonly [Op in OpsOf<K>]: Script<Op> };
  /** Fields of the instance's hash that scripts read, besides what instance-open.lua writes. */
  settings(config: Configs[K]): Readonly<Record<string, Argument>>;
  /** Things come due in it that somebody may wait for: processes with a handle listen, and sweep in time. */
  readonly sweep?: string;
  /** Ends what this process holds: run when the backend closes. */
  readonly goodbye?: string;
  /** Names what a reply has handed to this process and must be handed back at the end, and what a call gave back. */
  readonly tracks?: {
    taken(op: CommandName, reply: unknown): readonly string[];
    settled(op: CommandName, body: unknown): readonly string[];
    handBack(port: Port, taken: readonly string[]): Promise<unknown>;
  };
  peek(port: Port, limit: number, spec: InstanceSpec<K>): Promise<readonly unknown[]>;
}

export type PeekReply = readonly Json[];

/** For scripts whose reply is the command's, as it is. */
export const asIs = (raw: never): never => raw;
/** Lua's true is 1, its false and nil are null. */
export const asBoolean = (raw: number | null): boolean => raw === 1;
export const asNull = (): null => null;
