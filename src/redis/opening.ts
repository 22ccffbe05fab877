import type { InstanceSpec } from "../client/backend.js";
import { type InstanceName, type Kind, fixedSettings } from "../protocol/commands.js";
import { conflictError } from "../protocol/errors.js";
import { randomText } from "../protocol/ids.js";
import type { Argument, Raw, RedisKind } from "./script.js";

export interface Opened {
  /** It was not there before. */
  readonly made: boolean;
  /** Milliseconds until something is due, -1: nothing. */
  readonly dueIn: number;
}

/**
 * Opens an instance with these settings: instance-open.lua, which `run` runs.
 *
 * @throws `CONFLICT` when it exists with others that cannot change.
 */
export async function openInstance<K extends Kind>(
  spec: InstanceSpec<K>,
  kind: RedisKind<K>,
  clockOffset: number,
  run: (args: readonly Argument[]) => Promise<Raw>,
): Promise<Opened> {
  const { name, config, durability } = spec;
  const fixed = fixedSettings[name.kind].map((field) => [field, (config as unknown as Record<string, unknown>)[field]]);
  const settings = { durability, ...kind.settings(config) };
  const [made, given] = (await run([
    JSON.stringify(name),
    JSON.stringify(config),
    JSON.stringify(fixed),
    randomText(8),
    clockOffset,
    ...Object.entries(settings).flat(),
  ])) as [number, number | string];
  if (made < 0) throw conflict(name, String(given), fixed);
  return { made: made === 1, dueIn: Number(given) };
}

function conflict(name: InstanceName, storedText: string, asked: readonly unknown[][]): Error {
  const stored = new Map(JSON.parse(storedText) as [string, unknown][]);
  const [field, value] = asked.find(([setting, wanted]) => stored.get(setting as string) !== wanted)!;
  return conflictError(name, field as string, stored.get(field as string), value);
}

/** What calls of one port wait for: that the instance is open with the port's settings. */
export class Gate {
  open = false;
  readonly #openNow: () => Promise<void>;
  #opening: Promise<void> | undefined;

  constructor(openNow: () => Promise<void>) {
    this.#openNow = openNow;
  }

  pass(): Promise<void> {
    return (this.#opening ??= this.#openNow().then(
      () => {
        this.open = true;
      },
      (error: unknown) => {
        this.#opening = undefined;
        throw error;
      },
    ));
  }
}
