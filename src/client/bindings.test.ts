import { describe, expect, test } from "vitest";
import { z } from "zod";
import type { Body, EntryChange, EntryRecord } from "../protocol/commands.js";
import type { Backend, FeedListener, Port, Reassertion } from "./backend.js";
import { createEphemeralFactory } from "./ephemeral.js";
import { createFlavour } from "./flavour.js";

const TTL = 60_000;

type Held = Body<"ephemeral.assert">["entries"];

/** A hub that grants everything; the test says what others do, and when the hub is replaced. */
class FakeHub {
  version = 0;
  handle = "";
  /** What is absent, for `touch`. */
  absent = new Set<string>();
  readonly asked: string[] = [];
  readonly #listeners = new Set<FeedListener>();
  readonly #tellers = new Set<(hub: { remembers: boolean }) => Reassertion | undefined>();

  ephemeral() {
    const port = this.#port();
    const backend = { status: { state: "ready" }, port: () => port } as unknown as Backend;
    return createEphemeralFactory(createFlavour(() => backend))({ id: "e", schema: z.string(), ttlMs: TTL });
  }

  /** What a new hub is told; undefined: nothing. */
  told(): Held | undefined {
    const [told] = [...this.#tellers].map((tell) => tell({ remembers: false })).filter((one) => one !== undefined);
    return told && (told.body as Body<"ephemeral.assert">).entries;
  }

  /** What the same hub is told that this tab was cut off from for a while. */
  get toldAgain(): unknown[] {
    return [...this.#tellers].map((tell) => tell({ remembers: true })).filter((one) => one !== undefined);
  }

  /** A new hub to which these keys were not news. */
  replaced(lost: string[]): void {
    for (const tell of this.#tellers) tell({ remembers: false })?.answered?.(lost as never);
  }

  announce(change: Partial<EntryChange> & { type: EntryChange["type"] }): void {
    const event = { n: 1, publishedAt: 0, key: "a", version: String(this.version), ...change } as EntryChange;
    for (const listener of this.#listeners) listener.event({ type: "ephemeral.changed", event }, 1);
  }

  upsertedBy(handle: string | undefined): void {
    const entry = { key: "a", version: String(++this.version), bound: handle && { tab: "t", handle } };
    this.announce({ type: "upsert", entry: entry as EntryRecord });
  }

  get listening(): number {
    return this.#listeners.size + this.#tellers.size;
  }

  #port(): Port {
    return {
      reassert: (tell) => {
        this.#tellers.add(tell);
        return () => this.#tellers.delete(tell);
      },
      listen: (listener) => {
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
      },
      call: (op, body) => {
        this.asked.push(op);
        return this.#run(op, body as never) as never;
      },
    };
  }

  #run(op: string, body: { key: string; ttlMs: number; handle?: string }): unknown {
    if (op === "ephemeral.remove") return true;
    if (op === "ephemeral.touch" && this.absent.has(body.key)) return null;
    const version = String(++this.version);
    this.handle = body.handle ?? this.handle;
    const { ttlMs } = body;
    return { version, createdAt: 7, updatedAt: 8, ttlMs, expiresAt: 8 + ttlMs };
  }
}

describe("what is bound to a tab", () => {
  test("is told to a new hub, with what is left of its ttl", async () => {
    const hub = new FakeHub();
    const ephemeral = hub.ephemeral();
    await ephemeral.upsert({ key: "free", value: "x" });
    expect(hub.told()).toBeUndefined();
    await ephemeral.upsert({ key: "a", value: "x", bound: "tab" });
    const [held, ...more] = hub.told()!;
    expect(held).toMatchObject({ key: "a", value: '"x"', createdAt: 7, version: "2" });
    expect(held!.ttlMs).toBeLessThanOrEqual(TTL);
    expect(held!.ttlMs).toBeGreaterThan(TTL - 10_000);
    expect(more).toEqual([]);
  });

  test("is told with its last value and ttl", async () => {
    const hub = new FakeHub();
    const ephemeral = hub.ephemeral();
    await ephemeral.upsert({ key: "a", value: "x", bound: "tab" });
    await ephemeral.upsert({ key: "a", value: "y", bound: "tab" });
    await ephemeral.touch({ key: "a", ttlMs: 10 * TTL });
    expect(hub.told()).toMatchObject([{ value: '"y"', version: "3" }]);
    expect(hub.told()![0]!.ttlMs).toBeGreaterThan(9 * TTL);
    hub.version++;
    hub.announce({ type: "touch", updatedAt: 0, expiresAt: 20 * TTL });
    expect(hub.told()![0]!.ttlMs).toBeGreaterThan(19 * TTL);
  });

  test("is not told when its ttl is over", async () => {
    const hub = new FakeHub();
    const ephemeral = hub.ephemeral();
    await ephemeral.upsert({ key: "a", value: "x", ttlMs: 1, bound: "tab" });
    // The ttl runs on the tab's own clock.
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(hub.told()).toBeUndefined();
  });

  test.each([
    ["its tab removes it", async (_, e) => void (await e.remove({ key: "a" }))],
    ["its tab writes it without binding it", async (_, e) => void (await e.upsert({ key: "a", value: "y" }))],
    [
      "a touch finds nothing",
      async (hub, e) => {
        hub.absent.add("a");
        await e.touch({ key: "a" });
      },
    ],
    ["somebody else writes it", (hub) => Promise.resolve(hub.upsertedBy(undefined))],
    ["somebody else binds it", (hub) => Promise.resolve(hub.upsertedBy("another"))],
    [
      "somebody else removes it",
      async (hub) => {
        hub.version++;
        hub.announce({ type: "delete", deletedAt: 0 });
      },
    ],
    [
      "it expires",
      async (hub) => {
        hub.version++;
        hub.announce({ type: "expire", expiredAt: 0 });
      },
    ],
    ["a hub says that another holds it", (hub) => Promise.resolve(hub.replaced(["a"]))],
  ] as [string, (hub: FakeHub, e: ReturnType<FakeHub["ephemeral"]>) => Promise<void>][])(
    "is forgotten when %s",
    async (_, act) => {
      const hub = new FakeHub();
      const ephemeral = hub.ephemeral();
      await ephemeral.upsert({ key: "a", value: "x", bound: "tab" });
      await ephemeral.upsert({ key: "b", value: "x", bound: "tab" });
      await act(hub, ephemeral);
      expect(hub.told()).toMatchObject([{ key: "b" }]);
    },
  );

  test.each([
    ["its own write is heard", (hub: FakeHub) => hub.upsertedBy(hub.handle)],
    ["a late event of before is heard", (hub: FakeHub) => hub.announce({ type: "delete", deletedAt: 0 })],
    [
      "the hub took its tab for gone",
      (hub: FakeHub) => {
        hub.version++;
        hub.announce({ type: "delete", deletedAt: 0, reason: "tab_gone" });
      },
    ],
    ["a new hub takes it over", (hub: FakeHub) => hub.replaced([])],
    [
      "another key is removed",
      (hub: FakeHub) => hub.announce({ type: "delete", key: "other", version: "9", deletedAt: 0 }),
    ],
  ])("is kept when %s", async (_, act) => {
    const hub = new FakeHub();
    await hub.ephemeral().upsert({ key: "a", value: "x", bound: "tab" });
    act(hub);
    expect(hub.told()).toMatchObject([{ key: "a" }]);
  });

  test("is not told to a hub that knows it: there it may have been removed meanwhile", async () => {
    const hub = new FakeHub();
    await hub.ephemeral().upsert({ key: "a", value: "x", bound: "tab" });
    expect(hub.toldAgain).toEqual([]);
  });

  test("is let go when the handle is closed", async () => {
    const hub = new FakeHub();
    const ephemeral = hub.ephemeral();
    await ephemeral.upsert({ key: "a", value: "x", bound: "tab" });
    expect(hub.listening).toBe(2);
    await ephemeral.close();
    expect(hub.asked).toEqual(["ephemeral.upsert", "ephemeral.unbind"]);
    expect(hub.told()).toBeUndefined();
    expect(hub.listening).toBe(0);
  });
});
