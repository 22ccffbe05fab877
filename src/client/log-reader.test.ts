import { describe, expect, test } from "vitest";
import { z } from "zod";
import type { EntryChange } from "../protocol/commands.js";
import { TabloomError } from "../protocol/errors.js";
import type { Backend, FeedListener, Port } from "./backend.js";
import { createFlavour } from "./flavour.js";
import { createRegistryFactory } from "./registry.js";

const changeAt = (n: number): EntryChange => ({
  n,
  publishedAt: 0,
  key: `k/${n}`,
  type: "delete",
  version: String(n),
  deletedAt: 0,
});

/** A hub whose answers and announcements come when the test says, and which can fail or be replaced by another. */
class SteeredHub {
  head = 0;
  trimmedUpTo = 0;
  generation = "ONE";
  /** Thrown by the next calls, one each. */
  failures: Error[] = [];
  /** Calls wait for `answer`. */
  held = false;
  readonly #answers: (() => void)[] = [];
  #listener: FeedListener | undefined;
  listened = 0;

  reader(options: { after?: string; key?: string } = {}) {
    const backend = { status: { state: "ready" }, port: () => this.#port() } as unknown as Backend;
    const registry = createRegistryFactory(createFlavour(() => backend));
    return registry({ id: "r", schema: z.number() }).reader(options);
  }

  announce(n: number): void {
    this.head = Math.max(this.head, n);
    this.#listener?.event({ type: "registry.changed", event: changeAt(n) }, n);
  }

  /** Another hub whose memory is empty. */
  replace(): void {
    this.generation = "TWO";
    this.head = this.trimmedUpTo = 0;
    this.#listener?.resync();
  }

  resync(): void {
    this.#listener?.resync();
  }

  answerAll(): void {
    this.held = false;
    for (const answer of this.#answers.splice(0)) answer();
  }

  #port(): Port {
    return {
      reassert: () => () => {},
      listen: (listener) => {
        this.#listener = listener;
        this.listened++;
        return () => void this.listened--;
      },
      call: async (op, body, options) => {
        const failure = this.failures.shift();
        if (failure) throw failure;
        const asked = this.generation;
        let reply = this.#run(op, body as never);
        if (this.held) {
          await new Promise<void>((resolve, reject) => {
            this.#answers.push(resolve);
            options?.signal?.addEventListener("abort", () => reject(new Error("aborted")));
          });
          // Sent again to the one that came after.
          if (this.generation !== asked) reply = this.#run(op, body as never);
        }
        return reply as never;
      },
    };
  }

  #run(op: string, { after, limit }: { after: number | string; limit: number }): unknown {
    const { head, generation, trimmedUpTo } = this;
    const gapAfter = (n: number) =>
      n < trimmedUpTo ? { gap: { after: `${generation}.${n}`, firstAvailable: `${generation}.${trimmedUpTo}` } } : {};
    if (op === "registry.anchor") {
      if (after === "$") return { generation, n: head };
      if (after === "0") return { generation, n: trimmedUpTo };
      const [of, n] = String(after).split(".");
      if (of === generation) return { generation, n: Math.max(trimmedUpTo, Number(n)), ...gapAfter(Number(n)) };
      return { generation, n: 0, gap: { after: String(after), firstAvailable: `${generation}.0` } };
    }
    const all = Array.from({ length: head }, (_, i) => changeAt(i + 1)).filter(({ n }) => n > trimmedUpTo);
    return { events: all.filter(({ n }) => n > Number(after)).slice(0, limit), head, ...gapAfter(Number(after)) };
  }
}

/** Lets what is under way come to rest: everything here is promises. */
const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

const timeout = (): TabloomError => new TabloomError("TIMEOUT", "no answer");

describe("a reader of a log", () => {
  test("gets what was announced, without asking for it", async () => {
    const hub = new SteeredHub();
    const reader = hub.reader();
    await settled();
    hub.announce(1);
    hub.announce(2);
    hub.failures.push(timeout());
    expect(await reader.recv()).toMatchObject({ cursor: "ONE.1", key: "k/1" });
    expect(await reader.recv()).toMatchObject({ cursor: "ONE.2", key: "k/2" });
  });

  test("reads a missing number from the log", async () => {
    const hub = new SteeredHub();
    const reader = hub.reader();
    const first = reader.recv();
    await settled();
    hub.announce(3);
    expect(await first).toMatchObject({ cursor: "ONE.1" });
    expect(await reader.recv()).toMatchObject({ cursor: "ONE.2" });
    expect(await reader.recv()).toMatchObject({ cursor: "ONE.3" });
  });

  test("passes over others of its log without asking", async () => {
    const hub = new SteeredHub();
    const reader = hub.reader({ key: "k/3" });
    await settled();
    hub.failures.push(timeout());
    for (let n = 1; n <= 3; n++) hub.announce(n);
    expect(await reader.recv()).toMatchObject({ cursor: "ONE.3", key: "k/3" });
  });

  test("goes on at a new hub that has the same log", async () => {
    const hub = new SteeredHub();
    const reader = hub.reader();
    const first = reader.recv();
    await settled();
    hub.announce(1);
    await first;
    const next = reader.recv();
    await settled();
    hub.head = 2;
    hub.resync();
    expect(await next).toMatchObject({ cursor: "ONE.2" });
  });

  test("is told once that a new hub has another log, and goes on with that", async () => {
    const hub = new SteeredHub();
    const reader = hub.reader();
    const first = reader.recv();
    await settled();
    hub.announce(1);
    await first;
    const next = reader.recv();
    await settled();
    hub.replace();
    expect(await next).toEqual({ type: "overflow", after: "ONE.1", firstAvailable: "TWO.0", cursor: "TWO.0" });
    const after = reader.recv();
    await settled();
    hub.announce(1);
    expect(await after).toMatchObject({ cursor: "TWO.1" });
  });

  test("found: a page that another hub answers, of another log, is not taken for its own", async () => {
    const hub = new SteeredHub();
    hub.head = 5;
    const reader = hub.reader();
    await settled();
    hub.held = true;
    const next = reader.recv({ wait: false });
    await settled();
    hub.replace();
    hub.head = 7;
    hub.answerAll();
    expect(await next).toEqual({ type: "overflow", after: "ONE.5", firstAvailable: "TWO.0", cursor: "TWO.7" });
    expect(await reader.recv({ wait: false })).toBeNull();
  });

  test("found: that a new hub has another log is told also after a failed attempt to find its place", async () => {
    const hub = new SteeredHub();
    hub.head = 5;
    const reader = hub.reader();
    await settled();
    hub.replace();
    hub.failures.push(timeout());
    await expect(reader.recv({ wait: false })).rejects.toThrow("no answer");
    expect(await reader.recv({ wait: false })).toMatchObject({ type: "overflow", after: "ONE.5" });
  });

  test("an overflow goes on behind the newest event, also of those that come meanwhile", async () => {
    const hub = new SteeredHub();
    hub.head = 5;
    hub.trimmedUpTo = 3;
    const reader = hub.reader({ after: "ONE.1" });
    await settled();
    hub.held = true;
    const first = reader.recv();
    await settled();
    hub.announce(6);
    await settled();
    hub.answerAll();
    expect(await first).toEqual({ type: "overflow", after: "ONE.1", firstAvailable: "ONE.3", cursor: "ONE.5" });
    expect(await reader.recv()).toMatchObject({ cursor: "ONE.6" });
  });

  test("an overflow that could not be told is told again", async () => {
    const hub = new SteeredHub();
    hub.head = 5;
    hub.trimmedUpTo = 3;
    const reader = hub.reader({ after: "ONE.1" });
    await settled();
    hub.failures.push(timeout());
    await expect(reader.recv()).rejects.toThrow("no answer");
    expect(await reader.recv()).toMatchObject({ type: "overflow", after: "ONE.1" });
    expect(await reader.recv({ wait: false })).toBeNull();
  });

  test("a failure to anchor surfaces at the first recv; the next one tries again", async () => {
    const hub = new SteeredHub();
    hub.failures.push(timeout());
    const reader = hub.reader();
    await settled();
    await expect(reader.recv()).rejects.toThrow("no answer");
    const next = reader.recv();
    await settled();
    hub.announce(1);
    expect(await next).toMatchObject({ cursor: "ONE.1" });
    expect(hub.listened).toBe(1);
  });

  test("a failed read fails one call and loses nothing", async () => {
    const hub = new SteeredHub();
    hub.head = 2;
    const reader = hub.reader({ after: "0" });
    await settled();
    hub.failures.push(timeout());
    const calls = await Promise.allSettled([reader.recv(), reader.recv(), reader.recv()]);
    expect(calls.map((call) => (call.status === "fulfilled" ? call.value?.cursor : "failed"))).toEqual([
      "failed",
      "ONE.1",
      "ONE.2",
    ]);
  });

  test("an event that comes for one who has given up goes to the next", async () => {
    const hub = new SteeredHub();
    hub.head = 1;
    const reader = hub.reader({ after: "0" });
    await settled();
    hub.held = true;
    const abort = new AbortController();
    const given = reader.recv({ signal: abort.signal });
    await settled();
    abort.abort();
    expect(await given).toBeNull();
    hub.answerAll();
    await settled();
    expect(await reader.recv({ wait: false })).toMatchObject({ cursor: "ONE.1" });
  });

  test("who does not wait asks the log after the call, not with those who asked before", async () => {
    const hub = new SteeredHub();
    const reader = hub.reader();
    await settled();
    hub.held = true;
    // Asks the log and finds nothing; its answer is on its way when the event is written.
    const early = reader.recv({ wait: false });
    await settled();
    hub.head = 1;
    const late = reader.recv({ wait: false });
    await settled();
    hub.answerAll();
    expect([(await early)?.cursor, (await late)?.cursor]).toEqual(["ONE.1", undefined]);
  });

  test("closing ends a call that is under way, and stops listening", async () => {
    const hub = new SteeredHub();
    hub.head = 1;
    const reader = hub.reader({ after: "0" });
    await settled();
    hub.held = true;
    const parked = reader.recv();
    await settled();
    await reader.close();
    expect(await parked).toBeNull();
    expect(hub.listened).toBe(0);
  });
});
