import { assert } from "chai";
import fc from "fast-check";
import { vi } from "vitest";
import { z } from "zod";
import {
  type Backend,
  type Queue,
  type Received,
  StoreWriteError,
  type Topic,
  type TopicReceived,
  queue,
  topic,
} from "../../src/memory.js";
import { createMemoryBackend } from "../../src/memory/memory-backend.js";
import { type Fate, FaultyStore } from "./faulty-store.js";

const schema = z.number();
const LONG_MS = 1e9;

type Step =
  | { do: "send" | "pub"; count: number; big: boolean }
  | { do: "sendDelayed" | "recv" | "read" | "stats" | "close" | "die" }
  | { do: "ack" | "commit"; which: number }
  | { do: "advance"; ms: number }
  | { do: "fail"; fates: Fate[] }
  | { do: "fill"; room: number | undefined };

const fate = fc.constantFrom<Fate>("works", "works", "refuses", "refuses", "dies before", "dies after");
export const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom("send" as const, "pub" as const),
      count: fc.integer({ min: 1, max: 3 }),
      big: fc.boolean(),
    }),
  },
  {
    weight: 10,
    arbitrary: fc.record({ do: fc.constantFrom("recv" as const, "read" as const, "stats" as const) }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constantFrom("ack" as const, "commit" as const), which: fc.nat(20) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom("sendDelayed" as const, "close" as const, "die" as const) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("advance" as const), ms: fc.constantFrom(500, 2000) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("fail" as const), fates: fc.array(fate, { maxLength: 15 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("fill" as const),
      room: fc.oneof(fc.constant(undefined), fc.nat(10_000)),
    }),
  },
);

/** What a call came to; "unknown": the page died before anybody was told. */
type Told<T> = { value: T } | "refused" | "unknown";

/** What is in a queue or topic, in order, and what nobody knows about. */
class Ledger {
  readonly there: number[] = [];
  /** In it or not. */
  readonly maybe = new Set<number>();
  readonly gone = new Set<number>();

  added(items: number[], told: Told<unknown>): void {
    if (told === "refused") for (const item of items) this.gone.add(item);
    else this.there.push(...items);
    if (told === "unknown") for (const item of items) this.maybe.add(item);
  }

  removed(item: number, told: Told<boolean>): void {
    if (told === "unknown") this.maybe.add(item);
    else if (told !== "refused" && told.value) this.gone.add(item);
  }

  /** `found`: all that is left, in the order of delivery. */
  expectAll(found: number[]): void {
    const expected = this.there.filter((item) => !this.gone.has(item));
    const surely = expected.filter((item) => !this.maybe.has(item) || found.includes(item));
    assert.deepEqual(found, surely);
  }
}

/** One page after the other over the same contents. */
export class History {
  store = new FaultyStore();
  backend!: Backend;
  jobs!: Queue<typeof schema>;
  delayed!: Queue<typeof schema>;
  news!: Topic<typeof schema>;
  readonly sent = new Ledger();
  readonly postponed = new Ledger();
  readonly published = new Ledger();
  readonly committed = new Ledger();
  messages: Received<number>[] = [];
  events: TopicReceived<number>[] = [];
  #next = 0;

  constructor() {
    this.open();
  }

  open(): void {
    // A page takes its timers with it; the clock, which goes back with them, goes on.
    const now = Date.now();
    vi.clearAllTimers();
    vi.setSystemTime(now);
    this.store = new FaultyStore(this.store.contents);
    this.backend = createMemoryBackend({ store: this.store });
    const common = { schema, backend: this.backend };
    const delivery = { defaultLeaseMs: LONG_MS, maxDeliveries: 1e6 };
    this.jobs = queue({ id: "jobs", delivery, ...common });
    this.delayed = queue({ id: "delayed", delivery, ...common });
    this.news = topic({ id: "news", reclaimAfterMs: LONG_MS, ...common });
    this.messages = [];
    this.events = [];
  }

  async ask<T>(call: () => Promise<T>): Promise<Told<T>> {
    try {
      const value = await call();
      return this.store.dead ? "unknown" : { value };
    } catch (error) {
      assert.instanceOf(error, StoreWriteError);
      return this.store.dead ? "unknown" : "refused";
    } finally {
      if (this.store.dead) this.open();
    }
  }

  numbers(count: number): number[] {
    return Array.from({ length: count }, () => ++this.#next);
  }

  async perform(each: Step): Promise<void> {
    switch (each.do) {
      case "send":
      case "pub":
        return this.#add(each);
      case "sendDelayed": {
        const [data] = this.numbers(1) as [number];
        this.postponed.added([data], await this.ask(() => this.delayed.send({ data, delayMs: 1000 })));
        return;
      }
      case "recv": {
        const told = await this.ask(() => this.jobs.recv({ wait: false }));
        if (typeof told === "object" && told.value) this.messages.push(told.value);
        return;
      }
      case "read": {
        const told = await this.ask(() => this.news.reader("group").recv({ wait: false }));
        if (typeof told === "object" && told.value) this.events.push(told.value);
        return;
      }
      case "ack":
      case "commit":
        return this.#settle(each);
      case "stats":
        await this.ask(() => this.jobs.stats());
        return;
      case "close":
        await this.backend.close();
        return this.open();
      case "die":
        this.store.dead = true;
        return this.open();
      case "advance":
        await vi.advanceTimersByTimeAsync(each.ms);
        if (this.store.dead) this.open();
        return;
      case "fail":
        this.store.fates = [...each.fates];
        return;
      case "fill":
        this.store.capacity = each.room === undefined ? Infinity : this.store.used + each.room;
    }
  }

  async #add({ do: what, count, big }: Extract<Step, { big: boolean }>): Promise<void> {
    const numbers = this.numbers(count);
    const items = numbers.map((data) => ({ data, meta: big ? "x".repeat(4000) : "" }));
    if (what === "send") {
      const before = await this.#depth();
      const told = await this.ask(() => this.jobs.sendMany(items));
      this.sent.added(numbers, told);
      // Memory is as the store is.
      if (told === "refused" && before !== undefined) assert.include([before, undefined], await this.#depth());
    } else this.published.added(numbers, await this.ask(() => this.news.pubMany(items)));
  }

  async #depth(): Promise<number | undefined> {
    const told = await this.ask(() => this.jobs.stats());
    return typeof told === "object" ? told.value.depth : undefined;
  }

  async #settle({ do: what, which }: Extract<Step, { which: number }>): Promise<void> {
    const held = what === "ack" ? this.messages : this.events;
    if (held.length === 0) return;
    const item = held[which % held.length]!;
    const told = await this.ask(() => ("ack" in item ? item.ack() : item.commit()));
    (what === "ack" ? this.sent : this.committed).removed(item.data, told);
  }

  /** The last page, on a store that works. */
  async expectTruth(): Promise<void> {
    this.store.dead = true;
    await vi.advanceTimersByTimeAsync(1000);
    this.open();
    this.sent.expectAll(await received(this.jobs));
    this.postponed.expectAll((await received(this.delayed)).sort((a, b) => a - b));
    const fresh = await readAll(this.news.reader("fresh"));
    this.published.expectAll(fresh);
    this.committed.added(fresh, { value: true });
    this.committed.expectAll((await readAll(this.news.reader("group"))).sort((a, b) => a - b));
    assert.isBelow(this.store.contents.size, 300);
  }
}

async function received(from: Queue<typeof schema>): Promise<number[]> {
  const all: number[] = [];
  for await (const message of from.stream({ wait: false })) {
    all.push(message.data);
    assert.isTrue(await message.ack());
  }
  return all;
}

async function readAll(from: ReturnType<Topic<typeof schema>["reader"]>): Promise<number[]> {
  const all: number[] = [];
  for await (const event of from.stream({ wait: false })) {
    all.push(event.data);
    assert.isTrue(await event.commit());
  }
  return all;
}
