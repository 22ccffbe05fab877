/** The lives of a tab at a hub, one case each (docs/decisions/0012). Histories at random: host.test.ts. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { CommandName, Body } from "../../src/protocol/commands.js";
import type { CallFrame, HelloFrame, ReplyFrame, WireReply } from "../../src/protocol/frames.js";
import { PROTOCOL, names } from "../../src/protocol/names.js";
import { Host, type HostOptions } from "../../src/worker/host.js";
import { queueNamed } from "./engine-driver.js";
import { FakeLocks } from "./host/fake-locks.js";
import { Disk } from "./host/held-journal.js";
import { mutexNamed } from "./mutex-model.js";

const SPACE = "test";
const MINUTE = 60_000;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"], now: 1_700_000_000_000 });
  vi.stubGlobal("navigator", { locks: new FakeLocks() });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

let host: Host;
let disk: Disk;
let tabsSeen: number[];

async function begin(options: Partial<HostOptions> = {}): Promise<void> {
  tabsSeen = [];
  locks.clear();
  disk = new Disk(() => {});
  host = new Host({
    space: SPACE,
    epoch: "epoch",
    journal: disk.open("epoch"),
    onLost: (error) => {
      throw error;
    },
    onTabs: () => tabsSeen.push(host.tabs),
    ...options,
  });
  await host.load();
}

afterEach(() => host.close());

type Asked = [seq: number, op: CommandName, body: Body<CommandName>];

/** What a tab is answered; undefined: nothing, yet. */
async function ask(tab: string, calls: Asked[], frame: Partial<CallFrame> = {}): Promise<WireReply[] | undefined> {
  if (!host.knows(tab)) return undefined;
  const given = { kind: "calls", tab, below: 1, calls: calls.map(([seq, ...call]) => [seq, 0, ...call]) } as const;
  const answered = host.receive({ ...(given as unknown as CallFrame), ...frame });
  return Promise.race([
    answered.then((text) => (JSON.parse(text) as ReplyFrame).replies),
    quiet().then(() => undefined),
  ]);
}

const locks = new Map<string, () => void>();

/** Holds its lock, as its window does, and says hello. */
async function hello(tab: string, more: Partial<HelloFrame> = {}): Promise<ReturnType<Host["hello"]>> {
  if (!locks.has(tab)) {
    await new Promise<void>((held) => {
      const hold = (): Promise<void> =>
        new Promise((release) => {
          locks.set(tab, release);
          held();
        });
      void navigator.locks.request(names.tabLock(SPACE, tab), hold);
    });
  }
  return host.hello({ kind: "hello", tab, protocol: PROTOCOL, version: "0", ...more });
}

/** Its lock falls, and the hub learns of it. */
async function fall(tab: string): Promise<void> {
  locks.get(tab)!();
  await quiet();
}

/** Everything happens that takes no time: commits, too. */
async function quiet(): Promise<void> {
  for (let i = 0; i < 5; i++) {
    disk.step(false);
    disk.answer();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const open: Asked = [1, "instance.open", queueNamed("q", { defaultLeaseMs: 60 * MINUTE })];
const send = (seq: number, messageId = `m${seq}`): Asked => [seq, "queue.send", { messageId, data: "1", bytes: 1 }];
const claim = (seq: number, waitMs = 0): Asked => [seq, "queue.claim", { deliveryId: `d${seq}`, max: 1, waitMs }];
const depth = async (tab: string, seq: number): Promise<unknown> =>
  (await ask(tab, [[seq, "queue.stats", {}]]))?.[0]?.[1];

describe("a tab that sleeps", () => {
  test("has given back what it held, uncounted, before the handler of its goodbye is left", async () => {
    await begin();
    await hello("a/1");
    await hello("b/1");
    await ask("a/1", [open, send(2), claim(3)]);
    const waiting = ask("b/1", [open, claim(2, MINUTE)]);
    await quiet();
    expect(host.goodbye({ kind: "goodbye", tab: "a/1", park: true })).toBe(true);
    expect(tabsSeen.at(-1)).toBe(1);
    await waiting;
    expect(await ask("b/1", [[3, "queue.peek", { limit: 9 }]])).toMatchObject([
      [3, [{ messageId: "m2", by: "b/1", attempt: 1 }]],
    ]);
  });

  test("is told by its hub, when it is back, what came of the calls that have an effect once", async () => {
    await begin();
    await hello("a/1");
    const first = await ask("a/1", [open, send(2), [3, "queue.purge", {}]]);
    host.goodbye({ kind: "goodbye", tab: "a/1", park: true });
    expect(await hello("a/2", { asleepMs: 1000 })).toEqual({ known: false });
    const again = await ask("a/2", [[4, "instance.open", open[2]], send(2), [3, "queue.purge", {}]]);
    expect(again?.filter(([seq]) => seq !== 4)).toEqual(first?.filter(([seq]) => seq !== 1));
    expect(await depth("a/2", 5)).toMatchObject({ depth: 0 });
  });

  test("has its claims and reads run anew: what they had given was given back", async () => {
    await begin();
    await hello("a/1");
    await ask("a/1", [open, send(2), claim(3)]);
    host.goodbye({ kind: "goodbye", tab: "a/1", park: true });
    await hello("a/2", { asleepMs: 1000 });
    await ask("a/2", [[4, "instance.open", open[2]]]);
    expect(await ask("a/2", [claim(3)])).toEqual([[3, [expect.objectContaining({ messageId: "m2", attempt: 1 })]]]);
    expect(await depth("a/2", 5)).toMatchObject({ leased: 1 });
  });

  test("gets nothing for a frame that comes after its goodbye, or after its next incarnation", async () => {
    await begin();
    await hello("a/1");
    await ask("a/1", [open]);
    host.goodbye({ kind: "goodbye", tab: "a/1", park: true });
    expect(host.knows("a/1")).toBe(false);
    await hello("a/2", { asleepMs: 1 });
    expect([host.knows("a/1"), host.knows("a/2")]).toEqual([false, true]);
    expect(await hello("a/1")).toEqual({ known: false, ended: true });
    expect(host.goodbye({ kind: "goodbye", tab: "a/1", park: true })).toBe(false);
    expect(host.goodbye({ kind: "goodbye", tab: "a/1" })).toBe(false);
    expect(host.knows("a/2")).toBe(true);
  });

  test("may be back before its goodbye, and before its lock fell", async () => {
    await begin();
    await hello("a/1");
    await ask("a/1", [open, send(2), claim(3)]);
    await hello("a/2", { asleepMs: 1 });
    // The hub does not let go of the space in between.
    expect(tabsSeen).toEqual([1, 1]);
    await ask("a/2", [[4, "instance.open", open[2]]]);
    expect(await depth("a/2", 5)).toMatchObject({ leased: 0, depth: 1 });
    await ask("a/2", [claim(6)]);
    host.goodbye({ kind: "goodbye", tab: "a/1", park: true });
    await fall("a/1");
    expect(await depth("a/2", 7)).toMatchObject({ leased: 1 });
  });

  test("whose lock falls before its goodbye comes is taken for dead until then, and remembered all the same", async () => {
    await begin();
    await hello("a/1");
    const first = await ask("a/1", [open, send(2)]);
    await fall("a/1");
    expect(host.knows("a/1")).toBe(false);
    expect(host.goodbye({ kind: "goodbye", tab: "a/1", park: true })).toBe(false);
    await hello("a/2", { asleepMs: 1 });
    const again = await ask("a/2", [[3, "instance.open", open[2]], send(2)]);
    expect(again).toContainEqual(first!.find(([seq]) => seq === 2));
    expect(await depth("a/2", 4)).toMatchObject({ depth: 1 });
  });
});

describe("a tab that is remembered", () => {
  /** Sleeps with a call under way that has an effect once; what it is told when it asks again. */
  async function back(asleepMs: number): Promise<WireReply | undefined> {
    const { forgotten } = await hello("a/2", { asleepMs });
    const again = [[3, "instance.open", open[2]], send(2)] as Asked[];
    const replies = await ask("a/2", again, forgotten ? { lost: 2 } : {});
    return replies?.find(([seq]) => seq === 2);
  }

  async function sleep(tab = "a/1"): Promise<void> {
    await hello(tab);
    await ask(tab, [open, send(2)]);
    host.goodbye({ kind: "goodbye", tab, park: true });
  }

  async function checkpoint(): Promise<void> {
    await vi.advanceTimersByTimeAsync(2000);
    for (let i = 0; i < 5; i++) await quiet();
    expect(disk.records).toEqual([]);
  }

  test("is so for ten minutes", async () => {
    await begin();
    await sleep();
    await vi.advanceTimersByTimeAsync(10 * MINUTE);
    expect(await back(10 * MINUTE)).toEqual([2, null]);
    expect(await depth("a/2", 5)).toMatchObject({ depth: 1 });
  });

  test("is forgotten then, and told so: its call is not made a second time", async () => {
    await begin();
    await sleep();
    await vi.advanceTimersByTimeAsync(12 * MINUTE);
    expect(await back(12 * MINUTE)).toEqual([2, null, expect.objectContaining({ code: "INDETERMINATE" })]);
    expect(await depth("a/2", 5)).toMatchObject({ depth: 1 });
  });

  test("is not forgotten by a clock that is set", async () => {
    await begin();
    await hello("b/1", { testClock: true });
    await sleep();
    vi.setSystemTime(Date.now() + 60 * MINUTE);
    await vi.advanceTimersByTimeAsync(MINUTE);
    // It looks what is due.
    host.advanceClock(0);
    expect(await back(MINUTE)).toEqual([2, null]);
  });

  test("is forgotten before its time when too many are, oldest first, and told so", async () => {
    await begin({ parking: { sessions: 2 } });
    await sleep();
    for (const other of ["b/1", "c/1"]) await sleep(other);
    expect(await back(1000)).toEqual([2, null, expect.objectContaining({ code: "INDETERMINATE" })]);
    expect((await hello("c/2", { asleepMs: 1000 })).forgotten).toBeUndefined();
  });

  test("comes back when it is just being forgotten: what it does then is on disk as of one that was never there", async () => {
    await begin({ parking: { sessions: 0 } });
    await sleep();
    await checkpoint();
    await back(1000);
    await ask("a/2", [send(5)], { below: 5 });
    expect(disk.look().rows.get("0sa")).toBe(5);
    // Gone for good before the next checkpoint: were the old row taken for one that was never written, it would stay.
    host.goodbye({ kind: "goodbye", tab: "a/2" });
    await hello("b/1");
    await ask("b/1", [open, send(2)]);
    await checkpoint();
    expect([...disk.look().rows.keys()].filter((key) => /^0[sr]/.test(key))).toEqual(["0sb"]);
  });

  test("is forgotten when too many replies are kept", async () => {
    await begin({ parking: { replies: 1 } });
    for (const tab of ["a/1", "b/1"]) await sleep(tab);
    expect([(await hello("a/2", { asleepMs: 1 })).forgotten, (await hello("b/2", { asleepMs: 1 })).forgotten]).toEqual([
      true,
      undefined,
    ]);
  });

  test("may have left for good: then nothing of it is kept", async () => {
    await begin();
    await hello("a/1");
    await ask("a/1", [open, send(2)]);
    host.goodbye({ kind: "goodbye", tab: "a/1" });
    await hello("b/1");
    await ask("b/1", [open, send(2)]);
    expect([...disk.look().rows.keys()].filter((key) => /^0[sr]/.test(key))).toEqual(["0sb"]);
    expect((await hello("a/2", { asleepMs: 60 * MINUTE })).forgotten).toBe(true);
  });

  test("left no trace at a hub that it slept through: then its calls did not run, and run now", async () => {
    await begin();
    const again = await hello("a/2", { asleepMs: 1000 });
    expect(again).toEqual({ known: false });
    expect(await ask("a/2", [open, send(2)], { lost: 2 })).toContainEqual([2, null]);
  });
});

describe("a tab that was taken for dead", () => {
  test("is told to say hello again at once, and is refused until it comes as another", async () => {
    await begin();
    await hello("a/1");
    const pulled = host.pull("a/1");
    await fall("a/1");
    expect(JSON.parse(await pulled)).toMatchObject({ reset: true });
    expect(await hello("a/1")).toEqual({ known: false, ended: true });
    expect(await hello("a/2")).toEqual({ known: false });
  });

  test("does not get back the lock of a mutex that another has by then", async () => {
    await begin();
    await hello("a/1");
    await hello("b/1");
    const m: Asked = [1, "instance.open", mutexNamed("m")];
    const acquire = (seq: number, value: string): Asked => [
      seq,
      "mutex.acquire",
      { resource: "r", value, ttlMs: MINUTE, mode: "exclusive", waitMs: 0 },
    ];
    const held = (await ask("a/1", [m, acquire(2, "va")]))!.find(([seq]) => seq === 2)![1] as { token: number };
    host.goodbye({ kind: "goodbye", tab: "a/1", park: true });
    const next = (await ask("b/1", [m, acquire(2, "vb")]))!.find(([seq]) => seq === 2)![1] as { token: number };
    expect(next.token).toBeGreaterThan(held.token);
    await hello("a/2", { asleepMs: 1 });
    const lock = { resource: "r", value: "va", token: held.token, mode: "exclusive", ttlMs: MINUTE } as const;
    const told = await ask("a/2", [
      [3, "instance.open", m[2]],
      [4, "mutex.assert", { locks: [lock] }],
    ]);
    expect(told).toContainEqual([4, [null]]);
  });
});
