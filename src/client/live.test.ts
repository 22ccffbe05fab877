import { describe, expect, test } from "vitest";
import { z } from "zod";
import type { TopicEvent } from "../protocol/commands.js";
import type { Backend, FeedListener, Port } from "./backend.js";
import { createFlavour } from "./flavour.js";
import { createTopicFactory } from "./topic.js";

const eventAt = (n: number): TopicEvent => ({ n, eventId: `e${n}`, data: String(n), publishedAt: 0 });

/**
 * A hub whose answers and announcements come when the test says: over a real one they take different ways, and either
 * may be first.
 */
class SteeredHub {
  head = 0;
  generation = "ONE";
  readonly #answers: (() => void)[] = [];
  #listener: FeedListener | undefined;
  readonly asked: string[] = [];

  topic() {
    const backend = { status: { state: "ready" }, port: () => this.#port() } as unknown as Backend;
    const topic = createTopicFactory(createFlavour(() => backend));
    return topic({ id: "t", schema: z.number() });
  }

  announce(n: number): void {
    this.#listener?.event({ type: "topic.published", event: eventAt(n) }, n);
  }

  resync(): void {
    this.#listener?.resync();
  }

  get listening(): boolean {
    return this.#listener !== undefined;
  }

  /** Lets the oldest call have its answer, as it was when it ran; waits for the call to be made. */
  async answer(): Promise<void> {
    while (this.#answers.length === 0) await Promise.resolve();
    this.#answers.shift()!();
    await new Promise((resolve) => setTimeout(resolve, 0));
  }

  #port(): Port {
    return {
      reassert: () => () => {},
      listen: (listener) => {
        this.#listener = listener;
        return () => (this.#listener = undefined);
      },
      call: (op, body, options) => {
        this.asked.push(op);
        const reply = this.#run(op, body as never);
        return new Promise((resolve, reject) => {
          this.#answers.push(() => resolve(reply as never));
          options?.signal?.addEventListener("abort", () => reject(new Error("aborted")));
        });
      },
    };
  }

  #run(op: string, body: { after: number | string; limit: number }): unknown {
    const { head, generation } = this;
    if (op === "topic.anchor") {
      if (body.after === "$") return { generation, n: head };
      if (body.after === "0") return { generation, n: 0 };
      const [of, n] = String(body.after).split(".");
      if (of === generation) return { generation, n: Number(n) };
      return { generation, n: 0, gap: { after: String(body.after), firstAvailable: `${generation}.0` } };
    }
    const events = Array.from({ length: head }, (_, i) => eventAt(i + 1)).filter(({ n }) => n > (body.after as number));
    return { events: events.slice(0, body.limit), head };
  }
}

const dataOf = async (next: Promise<IteratorResult<{ data: number }>>): Promise<number> =>
  (await next).value.data as number;

describe("a listener", () => {
  test("reads what was announced before its anchor was answered", async () => {
    const hub = new SteeredHub();
    const live = hub.topic().live();
    hub.head = 1;
    hub.announce(1);
    const next = dataOf(live.next());
    await hub.answer();
    await hub.answer();
    expect(await next).toBe(1);
  });

  test("sees an event once that is both in a page and announced meanwhile", async () => {
    const hub = new SteeredHub();
    hub.head = 2;
    const live = hub.topic().live({ after: "0" });
    const first = dataOf(live.next());
    await hub.answer();
    // The page is on its way, with 1 and 2; 1 is announced only now.
    hub.announce(1);
    await hub.answer();
    expect([await first, await dataOf(live.next())]).toEqual([1, 2]);
    hub.head = 3;
    hub.announce(3);
    expect(await dataOf(live.next())).toBe(3);
  });

  test("fetches what an announcement left out", async () => {
    const hub = new SteeredHub();
    const live = hub.topic().live();
    const next = dataOf(live.next());
    await hub.answer();
    hub.head = 3;
    hub.announce(3);
    await hub.answer();
    expect([await next, await dataOf(live.next()), await dataOf(live.next())]).toEqual([1, 2, 3]);
  });

  test("goes on where it was after another hub took over", async () => {
    const hub = new SteeredHub();
    const live = hub.topic().live();
    const next = dataOf(live.next());
    await hub.answer();
    hub.head = 1;
    hub.resync();
    await hub.answer();
    await hub.answer();
    expect(await next).toBe(1);
    expect(hub.asked).toEqual(["topic.anchor", "topic.anchor", "topic.read"]);
  });

  test("found: learns that another hub began another log", async () => {
    const hub = new SteeredHub();
    hub.head = 5;
    const live = hub.topic().live();
    const next = live.next();
    await hub.answer();
    hub.generation = "TWO";
    hub.head = 1;
    hub.resync();
    const failed = next.catch((error: unknown) => error);
    await hub.answer();
    await hub.answer();
    expect(await failed).toMatchObject({ code: "GAP", after: "ONE.5", firstAvailable: "TWO.0" });
    expect(hub.listening).toBe(false);
  });

  test("ends at once when aborted, whatever it waits for", async () => {
    const hub = new SteeredHub();
    const abort = new AbortController();
    const live = hub.topic().live({ signal: abort.signal });
    const next = live.next();
    abort.abort();
    expect(await next).toEqual({ done: true, value: undefined });
    expect(hub.listening).toBe(false);
  });
});
