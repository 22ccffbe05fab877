import type { InstanceSpec, Port } from "../client/backend.js";
import type { CommandName, Kind } from "../protocol/commands.js";
import type { Calls } from "./calls.js";
import type { Client } from "./client.js";
import type { Instance } from "./instance.js";
import type { Argument, Raw } from "./script.js";

/** What an instance asks of its backend. */
export interface InstanceHost {
  readonly client: Client;
  readonly calls: Calls;
  readonly prefix: string;
  readonly owner: string;
  readonly closed: boolean;
  nextSeq(): number;
  /** Runs a script that belongs to no command; rejects as calls do. */
  run(instance: Instance, lua: string, args: readonly Argument[]): Promise<Raw>;
  /** How far the clock of a test is moved. */
  clockOffset(): Promise<number>;
  created(instance: Instance): Promise<void>;
  /** For residents and routines: another instance. */
  visit<J extends Kind>(spec: InstanceSpec<J>): Port;
  /** A command has its answer, for those who follow the trace. */
  traced(instance: Instance, op: CommandName, body: unknown, error: Error | undefined): void;
}
