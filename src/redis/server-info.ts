import type { BackendStatus } from "../client/backend.js";
import type { Client } from "./client.js";

export interface ServerInfo {
  /** Another one: the server was started anew, or another took its place. */
  readonly runId: string;
  readonly durable: boolean;
  readonly persistence: BackendStatus["persistence"];
}

/** Whom a server can be asked through. */
export type Asker = Pick<Client, "call">;

/** What a server says of itself; what it keeps to itself is left out. */
export async function readServer(client: Client): Promise<ServerInfo> {
  const info = await readInfo(client);
  const settings = await readConfig(client, ["appendfsync", "save"]);
  const persistence = persistenceOf(info, settings);
  return {
    runId: info["run_id"] ?? "",
    durable: persistence !== "none",
    persistence,
  };
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
  const settings: Record<string, string | undefined> = {};
  for (const name of names) {
    const found = (await client.call("CONFIG", "GET", name).catch(() => [])) as string[];
    if (found[1] !== undefined) settings[name] = found[1];
  }
  return settings;
}

export function persistenceOf(
  info: Record<string, string | undefined>,
  settings: Record<string, string | undefined>,
): BackendStatus["persistence"] {
  if (info["aof_enabled"] === "1")
    return `aof-${(settings["appendfsync"] ?? "everysec") as "no" | "everysec" | "always"}`;
  if (settings["save"] === undefined) return undefined;
  return settings["save"] === "" ? "none" : "snapshots";
}
