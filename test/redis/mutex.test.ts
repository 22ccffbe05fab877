/** Locks between real processes, which die and stand still, on a server that loses what it knew. */
import { readdirSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AssertedLock, LockMode } from "../../src/protocol/commands.js";
import { type Backend, type Lock, inspect, mutex } from "../../src/server.js";
import { type Access, type MutexCall, checkMutex, grantsOf, overtaken } from "../history/mutex-history.js";
import { type Note, callsOf } from "../history/record.js";
import { type AskedChild, startAskedChild } from "./asked-child.js";
import { killChildren } from "./child.js";
import type { AccessNote, MutexRequest, Told } from "./mutex-child.js";
import { closeAll, newPrefix, processAt } from "./processes.js";
import { type Server, type ServerOptions, startServer, until } from "./server.js";

let server: Server;
let prefix: string;

beforeEach(() => {
  prefix = newPrefix();
});
afterEach(async () => {
  await killChildren();
  await closeAll();
  await server.stop();
});

async function start(options: ServerOptions = {}): Promise<void> {
  server = await startServer(options);
}

const lockAt = (backend: Backend) => mutex({ id: "m", backend });
const here = () => lockAt(processAt(server.url, prefix));
const LONG = { ttl: 600_000, waitMs: 600_000 };

interface Worker extends AskedChild {
  told(request: MutexRequest): Promise<Told>;
}

async function there(): Promise<Worker> {
  const child = await startAskedChild(new URL("mutex-child.ts", import.meta.url));
  await child.ask({ do: "connect", url: server.url, prefix } satisfies MutexRequest);
  return { ...child, told: (request) => child.ask(request) as Promise<Told> };
}

/** A resource of the world outside: it lets nobody in who comes after a later token. */
class Register {
  readonly accesses: Access[] = [];
  readonly #any = new Map<string, number>();
  readonly #written = new Map<string, number>();

  access({ resource, token, mode }: { resource: string; token: number; mode: LockMode }): boolean {
    const highest = (mode === "exclusive" ? this.#any : this.#written).get(resource) ?? 0;
    const accepted = token >= highest;
    if (accepted) {
      this.#any.set(resource, Math.max(token, this.#any.get(resource) ?? 0));
      if (mode === "exclusive") this.#written.set(resource, token);
    }
    this.accesses.push({ resource, token, mode, accepted });
    return accepted;
  }
}

describe("several processes", { timeout: 60_000 }, () => {
  test("contend, one is killed, one stands still: never two holders by the order of tokens", async () => {
    await start();
    const notes: Note[] = [];
    const register = new Register();
    const children = await Promise.all(Array.from({ length: 4 }, there));
    const working = children.map((child, i) => {
      child.onNote((note) => {
        const said = note as Note | AccessNote;
        if (!("access" in said)) return notes.push(said);
        const { access } = said;
        const accepted = register.access(access);
        child.ask({ do: "accessed", call: access.call, accepted }).catch(() => {});
      });
      const resources = ["a", "b", "c"];
      return child.ask({ do: "work", tab: `p${i}`, resources, workers: 5, forMs: 8000 }).catch(() => {});
    });
    // In the middle of their work, wherever that is.
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await children[0]!.kill();
    children[1]!.signal("SIGSTOP");
    // Longer than a ttl, and than an offer lasts.
    await new Promise((resolve) => setTimeout(resolve, 3000));
    children[1]!.signal("SIGCONT");
    await Promise.all(working);
    const tabs = new Set(notes.map(({ tab }) => tab));
    const clocks = new Map([...tabs].map((tab) => [tab, { offset: 0, error: 0 }]));
    const calls = callsOf(notes, clocks) as MutexCall[];
    const history = { calls, dead: ["p0"], register: register.accesses };
    expect(checkMutex(history)).toEqual([]);
    const grants = grantsOf(history);
    // Only who stood still was overtaken.
    expect(overtaken(history).filter(({ call }) => call.invoked.tab !== "p1")).toEqual([]);
    for (const tab of ["p1", "p2", "p3"]) {
      expect(grants.filter(({ call }) => call.invoked.tab === tab).length).toBeGreaterThan(5);
    }
    expect(grants.length).toBeGreaterThan(100);
    console.log(`${grants.length} locks, ${register.accesses.length} accesses`);
  });

  test("the lock of a process that is killed is free when its ttl ends, and who waits has it at once", async () => {
    await start();
    const child = await there();
    const theirs = await child.told({ do: "acquire", resource: "door", ttl: 1500, waitMs: 0 });
    const locks = here();
    const waiting = locks.acquire("door", LONG);
    await until("somebody waits", async () => (await locks.stats()).waiters === 1);
    await child.kill();
    const ours = (await waiting)!;
    const late = ours.expiration - ours.ttl - theirs.expiration;
    // Both ends are told by clocks of one machine, from before the round trip.
    expect(late).toBeGreaterThanOrEqual(-1);
    // Nobody asks again in less than a second: it was told.
    expect(late).toBeLessThan(500);
    expect(ours.token).toBeGreaterThan(theirs.token);
    console.log(`${late} ms after the end of the ttl`);
  });

  test("who stands still beyond its ttl has lost its lock, and can neither extend nor release it", async () => {
    await start();
    const child = await there();
    const theirs = await child.told({ do: "acquire", resource: "door", ttl: 400, waitMs: 0 });
    const register = new Register();
    expect(register.access({ resource: "door", token: theirs.token, mode: "exclusive" })).toBe(true);
    child.signal("SIGSTOP");
    const locks = here();
    const ours = (await locks.acquire("door", LONG))!;
    expect(register.access({ resource: "door", token: ours.token, mode: "exclusive" })).toBe(true);
    child.signal("SIGCONT");
    expect(await child.ask({ do: "extend", resource: "door" })).toBe(false);
    expect(await child.ask({ do: "release", resource: "door" })).toBe(null);
    expect(await child.told({ do: "state", resource: "door" })).toMatchObject({ aborted: true });
    expect(register.access({ resource: "door", token: theirs.token, mode: "exclusive" })).toBe(false);
    expect((await locks.query("door")).holder).toMatchObject({ value: ours.value });
    expect(await locks.extend(ours)).toBe(true);
  });

  test("waiters of a process that is gone hold nobody up for longer than one offer", async () => {
    await start();
    const locks = here();
    const first = (await locks.acquire("door", LONG))!;
    const gone = await there();
    await gone.ask({ do: "line up", resource: "door", ...LONG, count: 300 });
    await until("they wait", async () => (await locks.stats()).waiters === 300);
    const behind = locks.acquire("door", LONG);
    const far = await there();
    await until("ours waits", async () => (await locks.stats()).waiters === 301);
    const last = far.told({ do: "acquire", resource: "door", ...LONG });
    await until("theirs waits", async () => (await locks.stats()).waiters === 302);
    await gone.kill();
    const releasedAt = performance.now();
    await locks.release(first);
    const second = (await behind)!;
    const took = performance.now() - releasedAt;
    // The dead one had its second, once.
    expect(took).toBeGreaterThan(900);
    expect(took).toBeLessThan(2000);
    await locks.release(second);
    const third = await last;
    // And is not asked again.
    expect(performance.now() - releasedAt - took).toBeLessThan(900);
    expect(third.token).toBeGreaterThan(second.token);
  });

  test("who stands still in line is passed over, and keeps its place for when it goes on", async () => {
    await start();
    const locks = here();
    const first = (await locks.acquire("door", LONG))!;
    const frozen = await there();
    const theirs = frozen.told({ do: "acquire", resource: "door", ...LONG });
    await until("it waits", async () => (await locks.stats()).waiters === 1);
    frozen.signal("SIGSTOP");
    const behind = locks.acquire("door", LONG);
    const behindThat = locks.acquire("door", LONG);
    await until("all wait", async () => (await locks.stats()).waiters === 3);
    await locks.release(first);
    const second = (await behind)!;
    frozen.signal("SIGCONT");
    // It asks again, finds the door locked, and is the next.
    const silent = `${prefix}:{mutex::default:m}:silent`;
    await until("it is back", async () => (await server.ask("ZCARD", silent)) === 0);
    await locks.release(second);
    expect((await theirs).token).toBeGreaterThan(second.token);
    expect((await locks.stats()).waiters).toBe(1);
    await frozen.ask({ do: "release", resource: "door" });
    await behindThat;
  });

  test("a process that closes hands back what it holds, and its waiters go", async () => {
    await start();
    const child = await there();
    await child.told({ do: "acquire", resource: "door", ...LONG });
    await child.told({ do: "acquire", resource: "window", ...LONG, mode: "shared" });
    const locks = here();
    const other = (await locks.acquire("garden", LONG))!;
    await child.ask({ do: "line up", resource: "garden", ...LONG, count: 3 });
    const waiting = locks.acquire("door", LONG);
    await until("all wait", async () => (await locks.stats()).waiters === 4);
    await child.ask({ do: "close" });
    await waiting;
    expect(await locks.stats()).toEqual({ held: 2, resources: 2, waiters: 0 });
    await locks.release(other);
  });
});

describe("tokens and locks when the server loses what it knew", { timeout: 60_000 }, () => {
  async function tokensOf(locks: ReturnType<typeof here>, count = 50): Promise<number[]> {
    const tokens: number[] = [];
    for (let i = 0; i < count; i++) {
      const lock = (await locks.acquire(`r${i % 3}`, { ttl: 1000, waitMs: 10_000 }))!;
      tokens.push(lock.token);
      await locks.release(lock);
    }
    return tokens;
  }

  function expectGrowing(tokens: readonly number[]): void {
    expect(tokens.every(Number.isSafeInteger)).toBe(true);
    expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b));
  }

  /** Held over the loss, by a process that lives: it says so, and the lock goes on. */
  async function survives(held: Lock, lose: () => Promise<void>): Promise<void> {
    const locks = here();
    const before = await tokensOf(locks);
    await lose();
    const after = await tokensOf(locks);
    expectGrowing([held.token, ...before, ...after]);
    const other = here();
    expectGrowing([...after, ...(await tokensOf(other, 5))]);
    await until("its holder has said so", async () => (await other.query("held")).holder?.value === held.value);
    expect((await other.query("held")).holder).toMatchObject({ token: held.token });
    expect(await other.acquire("held", { waitMs: 0 })).toBe(null);
    expect(held.signal.aborted).toBe(false);
  }

  test("killed, without an append-only file", async () => {
    await start();
    const locks = here();
    const held = (await locks.acquire("held", LONG))!;
    await survives(held, async () => {
      await server.kill();
      await server.restart();
    });
    expect(await locks.extend(held)).toBe(true);
  });

  test("FLUSHALL", async () => {
    await start();
    const locks = here();
    const held = (await locks.acquire("held", LONG))!;
    await survives(held, async () => {
      await server.ask("FLUSHALL");
      // Whoever asks for something finds that out.
      await locks.stats();
    });
    expect(await locks.extend(held)).toBe(true);
  });

  test("killed, with an append-only file: nothing is lost", async () => {
    await start({ aof: "everysec" });
    const locks = here();
    const held = (await locks.acquire("held", LONG))!;
    await survives(held, async () => {
      await server.kill();
      await server.restart();
    });
    expect(await locks.extend(held)).toBe(true);
  });

  /** The end of the file is torn off, as when the machine loses its power. */
  function tear(bytes: number): void {
    const folder = join(server.folder, "appendonlydir");
    const [file] = readdirSync(folder).filter((name) => name.endsWith(".incr.aof"));
    const path = join(folder, file!);
    truncateSync(path, Math.max(0, statSync(path).size - bytes));
  }

  for (const bytes of [1, 700, 5000]) {
    test(`killed, and the last ${bytes} bytes of the append-only file are gone`, async () => {
      await start({ aof: "always", settings: { "aof-load-truncated": "yes" } });
      const locks = here();
      const before = await tokensOf(locks);
      // Its grant may be among what is torn off; a release that is makes it seem held, up to its ttl.
      const released = (await locks.acquire("released", LONG))!;
      const held = (await locks.acquire("held", LONG))!;
      await locks.release(released);
      await server.kill();
      tear(bytes);
      await server.restart();
      const other = here();
      await until("its holder has said so", async () => (await other.query("held")).holder?.value === held.value);
      expect(await other.acquire("held", { waitMs: 0 })).toBe(null);
      const after = await tokensOf(other);
      expectGrowing([...before, released.token, held.token, ...after, ...(await tokensOf(locks))]);
      expect(await locks.extend(held)).toBe(true);
    });
  }

  test("a holder that comes back only when another was granted its lock has lost it", async () => {
    await start();
    const child = await there();
    const theirs = await child.told({ do: "acquire", resource: "door", ...LONG });
    await child.told({ do: "acquire", resource: "window", ...LONG });
    child.signal("SIGSTOP");
    await server.kill();
    await server.restart();
    const locks = here();
    const door = (await locks.acquire("door", LONG))!;
    const window = (await locks.acquire("window", LONG))!;
    expect(door.token).toBeGreaterThan(theirs.token);
    // Over already when the other comes back, and later than its own all the same.
    await locks.release(window);
    child.signal("SIGCONT");
    for (const resource of ["door", "window"]) {
      await until("it knows", async () => (await child.told({ do: "state", resource })).aborted);
      expect(await child.ask({ do: "extend", resource })).toBe(false);
    }
    expect(await locks.extend(door)).toBe(true);
    expect((await locks.query("door")).holders).toHaveLength(1);
    expect((await locks.query("window")).holders).toEqual([]);
  });
});

describe("what is told of a lock", () => {
  test("its ttl counts from before the round trip that won, by the clock of its process", async () => {
    await start();
    const locks = here();
    await locks.stats();
    process.kill(server.pid, "SIGSTOP");
    const sentAt = Date.now();
    const asked = locks.acquire("door", { ttl: 60_000 });
    // The server takes its time, so that its clock is ahead of when it was asked.
    await new Promise((resolve) => setTimeout(resolve, 400));
    process.kill(server.pid, "SIGCONT");
    const lock = (await asked)!;
    expect(lock.expiration - 60_000 - sentAt).toBeGreaterThanOrEqual(0);
    expect(lock.expiration - 60_000 - sentAt).toBeLessThan(200);
    expect((await locks.query("door")).holder).toMatchObject({ value: lock.value, expiration: lock.expiration });
    const ends = await server.ask("ZSCORE", `${prefix}:{mutex::default:m}:ends`, lock.value);
    expect(Number(ends) - lock.expiration).toBeGreaterThan(300);
  });

  test("whoever looks on sees it as it is, whatever its resource is called", async () => {
    await start();
    const backend = processAt(server.url, prefix);
    const locks = lockAt(backend);
    const resources = ["", "a:b", "\ud800", "\ud801", "\0", "\ufffd", "1:a:", "🦊"];
    for (const resource of resources) expect(await locks.acquire(resource, { waitMs: 0 })).not.toBe(null);
    for (const resource of resources) expect(await locks.acquire(resource, { waitMs: 0 })).toBe(null);
    const name = { prefix: "", kind: "mutex", tenantId: "default", id: "m" } as const;
    const seen = (await inspect(backend).peek(name)) as { resource: string }[];
    expect(seen.map(({ resource }) => resource).sort()).toEqual([...resources].sort());
    expect(seen[0]).toMatchObject({ mode: "exclusive", ttlMs: 10_000, by: backend.status.tabId });
  });
});

describe("what a process says that it holds", () => {
  const told = (lock: Partial<AssertedLock>): AssertedLock => ({
    resource: "door",
    value: "theirs",
    token: 1,
    mode: "exclusive",
    ttlMs: 60_000,
    ...lock,
  });

  async function asserting() {
    await start();
    const backend = processAt(server.url, prefix);
    const locks = lockAt(backend);
    const name = { prefix: "", kind: "mutex", tenantId: "default", id: "m" } as const;
    const port = backend.port({ name, config: {}, durability: "memory" });
    const says = async (lock: Partial<AssertedLock>): Promise<boolean> =>
      (await port.call("mutex.assert", { locks: [told(lock)] }))[0] !== null;
    return { locks, says };
  }

  test("is believed by a server that knows nothing, and tokens go on above it", async () => {
    const { locks, says } = await asserting();
    const ahead = Date.now() * 1000 + 3_600_000_000;
    expect(await says({ token: ahead })).toBe(true);
    expect(await says({ token: ahead })).toBe(true);
    expect(await locks.stats()).toEqual({ held: 1, resources: 1, waiters: 0 });
    expect(await locks.acquire("door", { waitMs: 0 })).toBe(null);
    expect((await locks.acquire("window"))!.token).toBe(ahead + 1);
  });

  test("is believed beside grants on other resources, and beside shared ones if it is shared", async () => {
    const { locks, says } = await asserting();
    await locks.acquire("window");
    const shared = (await locks.acquire("door", { mode: "shared" }))!;
    expect(await says({ mode: "shared" })).toBe(true);
    await locks.release(shared);
    expect(await says({ value: "another", mode: "shared" })).toBe(true);
    expect(await says({ value: "third", resource: "garden" })).toBe(true);
  });

  test("is refused when it contradicts a newer grant, held or over", async () => {
    const { locks, says } = await asserting();
    const ours = (await locks.acquire("door"))!;
    expect(await says({})).toBe(false);
    expect(await says({ mode: "shared" })).toBe(false);
    await locks.release(ours);
    expect(await says({})).toBe(false);
    expect(await says({ mode: "shared" })).toBe(false);
    expect((await locks.query("door")).holders).toEqual([]);
  });

  test("is refused when it was given by this server and is over", async () => {
    const { locks, says } = await asserting();
    const ours = (await locks.acquire("door"))!;
    await locks.release(ours);
    await locks.acquire("window");
    expect(await says(ours)).toBe(false);
  });

  test("of two that held it one after the other the later one is right", async () => {
    const { locks, says } = await asserting();
    expect(await says({ value: "earlier", token: 10 })).toBe(true);
    expect(await says({ value: "later", token: 20 })).toBe(true);
    expect(await says({ value: "earlier", token: 10 })).toBe(false);
    expect((await locks.query("door")).holders.map(({ value }) => value)).toEqual(["later"]);
  });

  test("is refused when the server can no longer know, and when there would be no tokens after it", async () => {
    const { locks, says } = await asserting();
    await locks.acquire("window");
    await server.ask("HSET", `${prefix}:{mutex::default:m}:meta`, "lateUntil", 1);
    expect(await says({})).toBe(false);
    expect(await says({ token: Number.MAX_SAFE_INTEGER - 1 })).toBe(false);
  });

  test("more resources than are remembered count as granted", async () => {
    const { locks, says } = await asserting();
    expect(await says({})).toBe(true);
    await Promise.all(Array.from({ length: 1100 }, (_, i) => locks.withLock(`r${i}`, () => {})));
    expect(await says({ value: "another", resource: "garden" })).toBe(false);
    expect(await server.ask("EXISTS", `${prefix}:{mutex::default:m}:recent`)).toBe(0);
  });
});
