import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { retry } from "./retry.js";
import { setLongTimeout, sleep } from "./signals.js";

const broken = (): Error => new Error("socket hang up");

describe("retry's pauses", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
  });

  /** When each attempt ran, in milliseconds after the first. */
  async function attemptsOf(options: Parameters<typeof retry>[1]): Promise<number[]> {
    const began = Date.now();
    const at: number[] = [];
    const retrying = retry(() => {
      at.push(Date.now() - began);
      throw broken();
    }, options).catch(() => {});
    await vi.runAllTimersAsync();
    await retrying;
    return at;
  }

  test("double from 100 ms to 2 s", async () => {
    expect(await attemptsOf({ jitter: 0 })).toEqual([0, 100, 300, 700, 1500, 3100, 5100, 7100]);
  });

  test("take their start, growth and limit from the options", async () => {
    expect(await attemptsOf({ attempts: 5, minDelayMs: 10, factor: 3, maxDelayMs: 100, jitter: 0 })).toEqual([
      0, 10, 40, 130, 230,
    ]);
    expect(await attemptsOf({ attempts: 3, minDelayMs: 500, maxDelayMs: 50, jitter: 0 })).toEqual([0, 50, 100]);
  });

  test("never exceed maxDelayMs, whatever the jitter", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0.999999);
    expect(await attemptsOf({ attempts: 3, minDelayMs: 2000, maxDelayMs: 2000, jitter: 1 })).toEqual([0, 2000, 4000]);
    vi.spyOn(Math, "random").mockReturnValue(0);
    expect(await attemptsOf({ attempts: 3, minDelayMs: 100, jitter: 0.2 })).toEqual([0, 80, 240]);
  });

  test("of nothing stay nothing, however often", async () => {
    const at = await attemptsOf({ attempts: 3000, minDelayMs: 0, jitter: 0 });
    expect(at).toHaveLength(3000);
  });

  test("leave no timer and no listener behind", async () => {
    const abort = new AbortController();
    const removed = vi.spyOn(abort.signal, "removeEventListener");
    const added = vi.spyOn(abort.signal, "addEventListener");
    await attemptsOf({ attempts: 3, signal: abort.signal });
    expect(removed.mock.calls.length).toBe(added.mock.calls.length);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("long timeouts", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test("beyond 2^31−1 ms do not fire early", async () => {
    const run = vi.fn<() => void>();
    setLongTimeout(run, 2 ** 32 + 5);
    await vi.advanceTimersByTimeAsync(2 ** 32 + 4);
    expect(run).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(run).toHaveBeenCalledOnce();
  });

  test("can be stopped, also after the first stretch", async () => {
    const run = vi.fn<() => void>();
    const stop = setLongTimeout(run, 2 ** 32);
    await vi.advanceTimersByTimeAsync(2 ** 31);
    stop();
    await vi.runAllTimersAsync();
    expect(run).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("a sleep ends at once when its signal aborts, or had", async () => {
    const abort = new AbortController();
    const sleeping = sleep(1e9, abort.signal);
    abort.abort();
    await sleeping;
    await sleep(1e9, abort.signal);
    expect(vi.getTimerCount()).toBe(0);
  });
});
