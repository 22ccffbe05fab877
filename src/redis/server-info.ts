import type { BackendStatus } from "../client/backend.js";

export interface ServerInfo {
  /** Another one: the server was started anew, or another took its place. */
  readonly runId: string;
  readonly durable: boolean;
  readonly persistence: BackendStatus["persistence"];
}

/** Whom a server can be asked through. */
export interface Asker {
  call(command: string, ...args: string[]): Promise<unknown>;
}

/** What a server says of itself; what it keeps to itself is left out. */
export async function readServer(client: Asker): Promise<ServerInfo> {
  const [info, settings] = await Promise.all([readInfo(client), readConfig(client, ["appendfsync", "save"])]);
  const persistence = persistenceOf(info, settings);
  return { runId: info["run_id"] ?? "", durable: persistence !== "none", persistence };
}

export async function readInfo(client: Asker, section = "everything"): Promise<Record<string, string | undefined>> {
  const text = await client.call("INFO", section).catch(() => "");
  const lines = String(text).split(/\r?\n/);
  return Object.fromEntries(
    lines
      .filter((line) => line.includes(":"))
      .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)]),
  );
}

/** Empty where CONFIG is not allowed, as with many hosts. */
export async function readConfig(client: Asker, names: readonly string[]): Promise<Record<string, string | undefined>> {
  // One by one: Redis 6.2 takes one name at a time.
  const found = await Promise.all(names.map((name) => client.call("CONFIG", "GET", name).catch(() => [])));
  return Object.fromEntries((found as [string, string][]).filter(({ length }) => length > 0));
}

export function persistenceOf(
  info: Record<string, string | undefined>,
  settings: Record<string, string | undefined>,
): BackendStatus["persistence"] {
  if (info["aof_enabled"] === "1") {
    const flushed = settings["appendfsync"] as "no" | "everysec" | "always" | undefined;
    return flushed && `aof-${flushed}`;
  }
  if (settings["save"] === undefined) return undefined;
  return settings["save"] === "" ? "none" : "snapshots";
}
