import type { InstanceName, Kind } from "../protocol/commands.js";
import { ValidationError } from "../protocol/errors.js";

/**
 * Names of keys and channels. All keys of one instance share a hash tag, so that they lie on one node of a cluster, and
 * each tuple has a tag of its own, whatever characters it holds.
 */
export function instanceRoot(prefix: string, { kind, prefix: scope, tenantId, id }: InstanceName): string {
  return `${prefix}:{${[kind, scope, tenantId, id].map(encodeURIComponent).join(":")}}`;
}

export const redisNames = {
  /** Of one part of an instance, as the header of a script names it. */
  key: (root: string, part: string) => `${root}:${part}`,
  /** Says that something came, or that something is due earlier than was said. */
  wakeChannel: (root: string) => `${root}:meta`,
  /** The instance's events. */
  eventChannel: (root: string) => `${root}:events`,
  /** Every instance that was ever opened, for those who look on: best effort. */
  instances: (prefix: string) => `${prefix}:instances`,
  /** How far the clocks of tests are moved. */
  clock: (prefix: string) => `${prefix}:clock`,
  /** Processes with `testClock` hear here that it moved; all hear whether somebody follows the trace. */
  control: (prefix: string) => `${prefix}:control`,
  /** Commands and their outcomes, while somebody follows. */
  trace: (prefix: string) => `${prefix}:trace`,
  /** There while somebody follows the trace. */
  followed: (prefix: string) => `${prefix}:followed`,
  /** The channels of all instances' events. */
  eventPattern: (prefix: string) => `${prefix.replace(/[*?[\]\\]/g, "\\$&")}:{*}:events`,
} as const;

/** The prefix of all keys. A brace in it would become the hash tag. */
export function checkedPrefix(prefix: string): string {
  if (/^[^{}]{1,256}$/u.test(prefix)) return prefix;
  throw new ValidationError(`prefix must be 1–256 characters without braces, not ${JSON.stringify(prefix)}`);
}

/** Whose channel of events it is. */
export function instanceNameOf(prefix: string, channel: string): InstanceName | undefined {
  if (!channel.startsWith(`${prefix}:{`)) return undefined;
  const tag = channel.slice(prefix.length + 2, channel.lastIndexOf("}"));
  const [kind, scope, tenantId, id] = tag.split(":").map(decodeURIComponent) as [Kind, string, string, string];
  return { prefix: scope, kind, tenantId, id };
}
