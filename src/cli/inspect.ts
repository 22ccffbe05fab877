import type { Backend, Port } from "../client/backend.js";
import { inspect } from "../client/inspect.js";
import type { DeadEntry, InstanceInfo, Kind, LockMode, QueuePeek, ScheduleInfo } from "../protocol/commands.js";
import type { TraceEntry } from "../protocol/commands.js";
import type { Json } from "../protocol/json.js";
import { createRedisBackend } from "../redis/backend.js";
import { type PlaceOptions, findPlace } from "./place.js";
import { type Terminal, columns, oneLine, plural } from "./terminal.js";
import { Trouble } from "./trouble.js";

interface Options extends PlaceOptions {
  json?: boolean;
}

export interface OneOptions extends Options {
  tenant: string;
  scope: string;
  limit: number;
}

export interface DeadOptions extends OneOptions {
  redrive?: string;
  remove?: string;
}

/** A lock as a mutex shows it to those who look on. */
interface HeldLock {
  resource: string;
  mode: LockMode;
  token: number;
  by: string;
  expiresAt: number;
}

export const KINDS = [
  "queue",
  "topic",
  "job",
  "scheduler",
  "mutex",
  "ratelimit",
  "registry",
  "ephemeral",
] as const satisfies readonly Kind[];

export function list(options: Options, terminal: Terminal): Promise<number> {
  return withBackend(options, async (backend) => {
    const instances = await instancesOf(backend);
    if (options.json) return print(instances, terminal);
    if (instances.length === 0) terminal.out(`nothing below the prefix ${options.prefix}`);
    const rows = instances.map(({ name, stats }) => [name.kind, oneLine(name.id), placeOf(name), figures(stats)]);
    for (const line of columns([["kind", "id", "tenant", "figures"], ...rows].slice(rows.length ? 0 : 1)))
      terminal.out(line);
  });
}

export function one(kind: Kind, id: string, options: OneOptions, terminal: Terminal): Promise<number> {
  return withBackend(options, async (backend) => {
    const instance = await find(backend, kind, id, options);
    const held = await inspect(backend).peek(instance.name, { limit: options.limit });
    if (options.json) return print({ ...instance, held }, terminal);
    terminal.out(`${kind} ${oneLine(id)}, tenant ${placeOf(instance.name)}: ${figures(instance.stats, true)}`);
    const rows =
      kind === "queue"
        ? (held as unknown as QueuePeek[]).map(messageRow)
        : held.map((entry) => [oneLine(JSON.stringify(entry), 160)]);
    if (rows.length > 0) terminal.out("");
    for (const line of columns(rows)) terminal.out(line);
  });
}

export function dead(id: string, options: DeadOptions, terminal: Terminal): Promise<number> {
  const { redrive, remove, limit, json } = options;
  return withBackend(options, async (backend) => {
    const port = backend.port(await find(backend, "queue", id, options));
    if (redrive !== undefined) {
      const redriven = await port.call("queue.redriveDead", redrive === "all" ? {} : { messageIds: [redrive] });
      if (redriven === 0 && redrive !== "all") throw noDead(id, redrive);
      return json
        ? print({ redriven }, terminal)
        : terminal.out(`${plural(redriven, "message")} put back into queue ${oneLine(id)}`);
    }
    if (remove !== undefined) {
      if (!(await port.call("queue.removeDead", { messageId: remove }))) throw noDead(id, remove);
      return json ? print({ removed: remove }, terminal) : terminal.out(`removed ${remove}`);
    }
    const { entries } = await port.call("queue.listDead", { limit });
    if (json) return print(entries, terminal);
    if (entries.length === 0) terminal.out(`queue ${oneLine(id)} has no dead letters`);
    for (const line of columns(entries.map(deadRow))) terminal.out(line);
  });
}

export function schedules(options: Options, terminal: Terminal): Promise<number> {
  return withBackend(options, async (backend) => {
    const found: (ScheduleInfo & { scheduler: string; tenantId: string })[] = [];
    for (const [{ name }, port] of await portsOf(backend, "scheduler")) {
      const infos = await port.call("scheduler.list", {});
      found.push(...infos.map((info) => ({ scheduler: name.id, tenantId: name.tenantId, ...info })));
    }
    if (options.json) return print(found, terminal);
    if (found.length === 0) terminal.out(`no schedules below the prefix ${options.prefix}`);
    for (const line of columns(found.map(scheduleRow))) terminal.out(line);
  });
}

export function locks(options: Options, terminal: Terminal): Promise<number> {
  return withBackend(options, async (backend) => {
    const found: (HeldLock & { mutex: string; tenantId: string })[] = [];
    for (const [{ name }] of await portsOf(backend, "mutex")) {
      const held = (await inspect(backend).peek(name, { limit: 10_000 })) as unknown as HeldLock[];
      found.push(...held.map((lock) => ({ mutex: name.id, tenantId: name.tenantId, ...lock })));
    }
    if (options.json) return print(found, terminal);
    if (found.length === 0) terminal.out(`no locks are held below the prefix ${options.prefix}`);
    const row = ({ mutex, resource, mode, token, by, expiresAt }: (typeof found)[number]): string[] =>
      [mutex, resource, mode, `token ${token}`, `by ${by}`, `until ${time(expiresAt)}`].map((cell) => oneLine(cell));
    for (const line of columns(found.map(row))) terminal.out(line);
  });
}

/** Commands and events as they happen; of many places, all that have the prefix. */
export function follow(options: Options, terminal: Terminal): Promise<number> {
  return withBackend(options, async (backend) => {
    for await (const entry of inspect(backend).trace({ signal: terminal.signal })) {
      terminal.out(options.json ? JSON.stringify(entry) : traceLine(entry));
    }
  });
}

async function withBackend(options: Options, work: (backend: Backend) => Promise<void>): Promise<number> {
  const { target, prefix, connection, cluster } = await findPlace(options);
  connection.disconnect();
  const backend = createRedisBackend({ redis: target, prefix });
  try {
    await work(backend);
    return 0;
  } finally {
    await backend.close();
    cluster?.disconnect();
  }
}

async function instancesOf(backend: Backend): Promise<InstanceInfo[]> {
  const order = (info: InstanceInfo): string => JSON.stringify([info.name.kind, info.name.id, info.name.tenantId]);
  return (await inspect(backend).instances()).sort((a, b) => (order(a) < order(b) ? -1 : 1));
}

/** With the settings that it has: a handle of our own would give it others. */
async function find<K extends Kind>(
  backend: Backend,
  kind: K,
  id: string,
  { tenant, scope, prefix }: OneOptions,
): Promise<InstanceInfo & Parameters<Backend["port"]>[0]> {
  const all = (await instancesOf(backend)).filter(({ name }) => name.kind === kind);
  const found = all.find(({ name }) => name.id === id && name.tenantId === tenant && name.prefix === scope);
  if (found) return found as never;
  const others = all.slice(0, 5).map(({ name }) => `${name.id} (tenant ${placeOf(name)})`);
  const known = others.length > 0 ? `; there are ${others.join(", ")}${all.length > 5 ? " …" : ""}` : "";
  throw new Trouble(
    "UNKNOWN",
    oneLine(`no ${kind} "${id}", tenant ${tenant}, below the prefix ${prefix}${known}`, 300),
  );
}

async function portsOf(backend: Backend, kind: Kind): Promise<[InstanceInfo, Port][]> {
  const all = (await instancesOf(backend)).filter(({ name }) => name.kind === kind);
  return all.map((info) => [info, backend.port(info as never)]);
}

const noDead = (id: string, messageId: string): Trouble =>
  new Trouble(
    "UNKNOWN",
    oneLine(`queue ${id} has no dead letter ${messageId}: tabloom inspect dead ${id} lists them`, 300),
  );

const placeOf = ({ tenantId, prefix }: InstanceInfo["name"]): string =>
  oneLine(prefix === "" ? tenantId : `${tenantId}, scope ${prefix}`);

/** What is not nothing, unless all is asked for. */
function figures(stats: Json, all = false): string {
  const entries = Object.entries(stats as Record<string, Json>).filter(
    ([, value]) => all || (value !== 0 && value !== false),
  );
  return (
    entries.map(([name, value]) => (value === true ? name : `${name} ${JSON.stringify(value)}`)).join(", ") || "empty"
  );
}

function messageRow({ messageId, at, attempt, priority, orderingKey, untilAt, by, data }: QueuePeek): string[] {
  const until = untilAt === undefined ? "" : `until ${time(untilAt)}`;
  const rest = [
    `priority ${priority}`,
    ...(orderingKey === undefined ? [] : [`key ${orderingKey}`]),
    ...(by === undefined ? [] : [`by ${by}`]),
  ];
  return [messageId, at, `attempt ${attempt}`, until, oneLine(rest.join(", "), 60), oneLine(data)];
}

function deadRow({ messageId, movedAt, attempts, reason, lastError, data }: DeadEntry): string[] {
  return [
    messageId,
    time(movedAt),
    plural(attempts, "attempt"),
    oneLine([reason, lastError].filter(Boolean).join(": ")),
    oneLine(data),
  ];
}

function scheduleRow({
  scheduler,
  id,
  cron,
  tz,
  jobId,
  nextRunAt,
  lastRunAt,
  paused,
}: ScheduleInfo & { scheduler: string }): string[] {
  const last = lastRunAt === null ? "never ran" : `last ${time(lastRunAt)}`;
  return [scheduler, id, `${cron} ${tz}`, `job ${jobId}`, paused ? "paused" : `next ${time(nextRunAt)}`, last].map(
    (cell) => oneLine(cell),
  );
}

function traceLine(entry: TraceEntry): string {
  const { kind, id, tenantId } = entry.instance;
  const where = tenantId === "default" ? `${kind} ${id}` : `${kind} ${id} (${tenantId})`;
  if (entry.type === "event") return oneLine(`${time(entry.at)}  ${where}  ${JSON.stringify(entry.event)}`, 200);
  return oneLine(
    `${time(entry.at)}  ${where}  ${entry.op} ${entry.outcome}  ${JSON.stringify(entry.body)}  by ${entry.by}`,
    200,
  );
}

const time = (at: number): string => new Date(at).toISOString();

function print(value: unknown, terminal: Terminal): void {
  terminal.out(JSON.stringify(value, null, 2));
}
