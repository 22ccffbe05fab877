import type { Configs, Durability, InstanceName, Kind } from "../protocol/commands.js";
import type { Call } from "./call.js";
import type { AnyPrimitive } from "./primitive.js";

/** One queue, topic … of a space, with its state. */
export interface Instance {
  /** Short and stable: rows on disk carry it instead of the name. */
  readonly number: number;
  readonly key: string;
  readonly name: InstanceName;
  readonly primitive: AnyPrimitive;
  readonly seed: string;
  readonly state: unknown;
  config: Configs[Kind];
  durability: Durability;
  /** The turn that last changed this instance durably; answers about it wait for its commit. */
  changedIn: number;
  /** When `wake` is due, as last computed. */
  dueAt: number;
  /** The earliest alarm that is set for this instance. */
  alarmAt: number;
  /** Parked calls by lane, in order of arrival. */
  readonly lanes: Map<string, Set<Call>>;
  waiters: number;
  /** Its creation was undone: whoever still refers to it must open it again. */
  gone: boolean;
}
