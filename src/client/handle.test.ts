import { describe, expect, test } from "vitest";
import type { TopicConfig } from "../protocol/commands.js";
import type { Backend } from "./backend.js";
import { createFlavour } from "./flavour.js";
import { Handle } from "./handle.js";
import { withAnySignal } from "./signals.js";

const noBackend = createFlavour(() => {
  throw new Error("not needed");
});

const anything = { "~standard": { version: 1, vendor: "test", validate: (value: unknown) => ({ value }) } };
const options = { id: "x", schema: anything };
const handle = (): Handle<"topic"> => new Handle("topic", noBackend, options, {} as TopicConfig, "relaxed");

interface Gate {
  promise: Promise<string>;
  open(): void;
  fail(): void;
}

function gate(name: string): Gate {
  let open!: () => void;
  let fail!: () => void;
  const promise = new Promise<string>((resolve, reject) => {
    open = () => resolve(name);
    fail = () => reject(new Error(name));
  });
  return { promise, open, fail };
}

describe("calls of a handle", () => {
  test("are issued at once when nothing has to be waited for", () => {
    expect(handle().inOrder("now", (value) => `${value}!`)).toBe("now!");
  });

  test("are issued in call order, whichever is ready first", async () => {
    const calls = handle();
    const issued: string[] = [];
    const issue = (name: string): void => void issued.push(name);
    const slow = gate("slow");
    const quick = gate("quick");
    const all = [slow.promise, quick.promise, "ready"].map(async (prepared) => calls.inOrder(prepared, issue));
    quick.open();
    await quick.promise;
    expect(issued).toEqual([]);
    slow.open();
    await Promise.all(all);
    expect(issued).toEqual(["slow", "quick", "ready"]);
  });

  test("found: one that fails does not let its successor overtake", async () => {
    const calls = handle();
    const issued: string[] = [];
    const issue = (name: string): void => void issued.push(name);
    const slow = gate("slow");
    const failing = gate("failing");
    const first = calls.inOrder(slow.promise, issue);
    const second = Promise.resolve(calls.inOrder(failing.promise, issue)).catch(() => "failed");
    const third = calls.inOrder("third", issue);
    failing.fail();
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(issued).toEqual([]);
    slow.open();
    await Promise.all([first, third]);
    expect(await second).toBe("failed");
    expect(issued).toEqual(["slow", "third"]);
  });

  test("do not wait for each other's answers", async () => {
    const calls = handle();
    const never = calls.inOrder(Promise.resolve("first"), () => new Promise<never>(() => {}));
    expect(never).toBeInstanceOf(Promise);
    expect(await calls.inOrder("second", (value) => value)).toBe("second");
  });
});

describe("the default backend", () => {
  const backend = (): Backend & { status: { state: string } } => ({ status: { state: "ready" } }) as never;

  test("is made once, at the first call", () => {
    let made = 0;
    const flavour = createFlavour(() => (made++, backend()));
    expect(made).toBe(0);
    expect(flavour.bind()).toBe(flavour.bind());
    expect(made).toBe(1);
  });

  test("cannot be exchanged after a call, until it is closed", () => {
    const flavour = createFlavour(backend);
    const first = flavour.connect(backend);
    expect(flavour.connect(backend)).not.toBe(first);
    const used = flavour.bind();
    expect(() => flavour.connect(backend)).toThrow(expect.objectContaining({ code: "CONFLICT" }));
    used.status.state = "closed";
    const next = flavour.connect(backend);
    expect(flavour.bind()).toBe(next);
  });
});

describe("signals of a call", () => {
  const listeners = (controller: AbortController): { count: number } => {
    const counted = { count: 0 };
    const { signal } = controller;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => (counted.count++, add(...args));
    signal.removeEventListener = (...args: Parameters<typeof remove>) => (counted.count--, remove(...args));
    return counted;
  };

  test.each([
    ["returns", () => 1],
    ["resolves", () => Promise.resolve(1)],
    [
      "throws",
      () => {
        throw new Error("no");
      },
    ],
    ["rejects", () => Promise.reject(new Error("no"))],
  ])("are let go of when it %s", async (_, run) => {
    const one = new AbortController();
    const two = new AbortController();
    const [first, second] = [listeners(one), listeners(two)];
    await Promise.resolve()
      .then(() => withAnySignal([one.signal, undefined, two.signal], run))
      .catch(() => {});
    expect([first.count, second.count]).toEqual([0, 0]);
  });

  test("abort together, with the reason of the one that did", () => {
    const one = new AbortController();
    const two = new AbortController();
    void withAnySignal([one.signal, two.signal], (signal) => {
      expect(signal.aborted).toBe(false);
      two.abort("reason");
      expect(signal.reason).toBe("reason");
    });
    void withAnySignal([one.signal, two.signal], (signal) => expect(signal.reason).toBe("reason"));
  });
});
