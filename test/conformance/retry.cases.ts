import { assert } from "chai";
import { cases } from "./case.js";
import { rejection, rejectsWith, rejectsWithRange, throwsRange } from "./expectations.js";

const connectionLost = (): Error => Object.assign(new Error("socket hang up"), { code: "ECONNRESET" });
/** Real pauses, kept tiny. */
const quick = { minDelayMs: 0, maxDelayMs: 1 };

/** retry, expBackoff, isRetryableTransportError: no backend is involved. */
export const retryCases = cases("retry", {
  "the first success is returned, attempts are counted from 1": async ({ entry }) => {
    const attempts: number[] = [];
    const result = await entry.retry((attempt) => {
      attempts.push(attempt);
      if (attempt < 3) throw connectionLost();
      return "done";
    }, quick);
    assert.strictEqual(result, "done");
    assert.deepEqual(attempts, [1, 2, 3]);
  },

  "the defaults are public": async ({ entry }) => {
    assert.deepEqual(
      { ...entry.DEFAULT_RETRY_OPTIONS },
      { attempts: 8, minDelayMs: 100, maxDelayMs: 2000, factor: 2, jitter: 0.2 },
    );
  },

  "8 attempts by default, then the last error unchanged": async ({ entry }) => {
    const errors: Error[] = [];
    const last = await rejection(
      entry.retry(() => {
        errors.push(connectionLost());
        throw errors.at(-1)!;
      }, quick),
    );
    assert.lengthOf(errors, 8);
    assert.strictEqual(last, errors[7]);
  },

  "what is thrown need not be an Error": async ({ entry }) => {
    const thrown: unknown = await entry
      .retry(() => Promise.reject("broken pipe" as unknown as Error), { ...quick, attempts: 2 })
      .catch((error: unknown) => error);
    assert.strictEqual(thrown, "broken pipe");
  },

  "attempts: Infinity is allowed": async ({ entry }) => {
    const result = await entry.retry(
      (attempt) => {
        if (attempt < 50) throw connectionLost();
        return attempt;
      },
      { attempts: Infinity, minDelayMs: 0, maxDelayMs: 0 },
    );
    assert.strictEqual(result, 50);
  },

  "other errors are not retried": async ({ entry }) => {
    let calls = 0;
    const error = await rejection(
      entry.retry(() => {
        calls++;
        throw new Error("no such user");
      }, quick),
    );
    assert.strictEqual(error.message, "no such user");
    assert.strictEqual(calls, 1);
  },

  "retryIf decides, and is not asked after the last attempt": async ({ entry }) => {
    const asked: unknown[] = [];
    const retryIf = (error: unknown): boolean => asked.push(error) > 0;
    await rejection(entry.retry(() => Promise.reject(new Error("no")), { ...quick, attempts: 3, retryIf }));
    assert.lengthOf(asked, 2);
    let calls = 0;
    await rejection(entry.retry(() => Promise.reject(new Error(String(++calls))), { ...quick, retryIf: () => false }));
    assert.strictEqual(calls, 1);
  },

  "what retryIf throws is passed on": async ({ entry }) => {
    const retryIf = (): boolean => {
      throw new Error("from retryIf");
    };
    const error = await rejection(entry.retry(() => Promise.reject(connectionLost()), { ...quick, retryIf }));
    assert.strictEqual(error.message, "from retryIf");
  },

  "undefined options are the defaults": async ({ entry }) => {
    assert.strictEqual(await entry.retry(() => 1, { attempts: undefined as never, retryIf: undefined as never }), 1);
  },

  "reference fault: options out of range are refused before the first call": async ({ entry }) => {
    let calls = 0;
    const fn = (): number => ++calls;
    for (const attempts of [0, -1, 2.5, Number.NaN, -Infinity]) await rejectsWithRange(entry.retry(fn, { attempts }));
    for (const bad of [-1, Number.NaN, Infinity, -Infinity]) {
      await rejectsWithRange(entry.retry(fn, { minDelayMs: bad }));
      await rejectsWithRange(entry.retry(fn, { maxDelayMs: bad }));
      await rejectsWithRange(entry.retry(fn, { factor: bad }));
      await rejectsWithRange(entry.retry(fn, { jitter: bad }));
    }
    await rejectsWithRange(entry.retry(fn, { factor: 0.5 }));
    await rejectsWithRange(entry.retry(fn, { jitter: 1.1 }));
    assert.strictEqual(calls, 0);
  },

  "an aborted signal rejects before the first call": async ({ entry }) => {
    let calls = 0;
    const reason = new Error("enough");
    const error = await rejectsWith(
      entry.retry(() => ++calls, { signal: AbortSignal.abort(reason) }),
      "ABORTED",
    );
    assert.strictEqual(error.name, "AbortError");
    assert.instanceOf(error, entry.AbortError);
    assert.strictEqual(error.cause, reason);
    assert.strictEqual(calls, 0);
  },

  "aborting ends a pause at once": async ({ entry }) => {
    const abort = new AbortController();
    let failed!: () => void;
    const firstFailure = new Promise<void>((resolve) => (failed = resolve));
    const retrying = entry.retry(() => Promise.reject(connectionLost()), {
      minDelayMs: 3_600_000,
      maxDelayMs: 3_600_000,
      signal: abort.signal,
      retryIf: () => {
        failed();
        return true;
      },
    });
    await firstFailure;
    const reason = new Error("enough");
    abort.abort(reason);
    assert.strictEqual((await rejectsWith(retrying, "ABORTED")).cause, reason);
  },

  "reference fault: abort wins while fn runs": async ({ entry }) => {
    const abort = new AbortController();
    const retrying = entry.retry(() => new Promise<never>(() => {}), { signal: abort.signal });
    abort.abort("reason");
    assert.strictEqual((await rejectsWith(retrying, "ABORTED")).cause, "reason");
  },

  "abort wins over a failure of fn that it causes": async ({ entry }) => {
    const abort = new AbortController();
    const failing = entry.retry(
      () => {
        abort.abort();
        throw connectionLost();
      },
      { ...quick, signal: abort.signal },
    );
    await rejectsWith(failing, "ABORTED");
  },

  "reference fault: a pause of 0 lets other tasks run": async ({ entry }) => {
    let ran = false;
    setTimeout(() => (ran = true), 0);
    await entry.retry(
      () => {
        if (!ran) throw connectionLost();
      },
      { attempts: 1_000_000, minDelayMs: 0, maxDelayMs: 0 },
    );
    assert.isTrue(ran);
  },

  "expBackoff doubles up to its limit": async ({ entry }) => {
    const delays = [1, 2, 3, 4, 5, 6, 7].map((attempt) => entry.expBackoff(attempt, { jitter: 0 }));
    assert.deepEqual(delays, [100, 200, 400, 800, 1600, 2000, 2000]);
    assert.strictEqual(entry.expBackoff(3, { baseMs: 10, maxMs: 1_000_000, jitter: 0 }), 40);
    assert.strictEqual(entry.expBackoff(5000, { baseMs: 1, maxMs: 5, jitter: 0 }), 5);
    assert.strictEqual(entry.expBackoff(5000, { baseMs: 0, jitter: 0 }), 0);
  },

  "reference fault: jitter never exceeds the longest pause": async ({ entry }) => {
    for (let i = 0; i < 1000; i++) {
      const pause = entry.expBackoff(1 + (i % 8), { jitter: 1 });
      assert.isAtMost(pause, 2000);
      assert.isAtLeast(pause, 0);
      assert.isTrue(Number.isInteger(pause));
    }
  },

  "jitter is 0.2 by default": async ({ entry }) => {
    const pauses = Array.from({ length: 1000 }, () => entry.expBackoff(2));
    assert.isTrue(pauses.every((pause) => pause >= 160 && pause <= 240));
    assert.isAbove(new Set(pauses).size, 1);
  },

  "expBackoff refuses arguments out of range": async ({ entry }) => {
    for (const attempt of [0, -1, 1.5, Number.NaN, Infinity]) throwsRange(() => entry.expBackoff(attempt));
    for (const bad of [-1, Number.NaN, Infinity]) {
      throwsRange(() => entry.expBackoff(1, { baseMs: bad }));
      throwsRange(() => entry.expBackoff(1, { maxMs: bad }));
      throwsRange(() => entry.expBackoff(1, { jitter: bad }));
    }
  },

  "transport errors: errno codes": async ({ entry }) => {
    const codes = ["ECONNRESET", "ETIMEDOUT", "ECONNREFUSED", "ENOTFOUND", "EPIPE", "EHOSTUNREACH", "ECONNABORTED"];
    for (const code of [...codes, "econnreset"]) {
      assert.isTrue(entry.isRetryableTransportError(Object.assign(new Error("x"), { code })), code);
    }
    for (const code of ["ENOENT", "EACCES", "CONNECTION", 104]) {
      assert.isFalse(entry.isRetryableTransportError(Object.assign(new Error("x"), { code })), String(code));
    }
  },

  "reference fault: messages are matched narrowly": async ({ entry }) => {
    const passing = [
      "connection closed",
      "Connection refused",
      "The connection was lost; connection lost",
      "connection reset by peer",
      "Connection is closed.",
      "socket hang up",
      "socket closed",
      "write: broken pipe",
      "network error",
      "NetworkError: Network error",
      "connect ECONNREFUSED 127.0.0.1:6379",
      "LOADING Redis is loading the dataset in memory",
      "TRYAGAIN Multiple keys",
      "CLUSTERDOWN The cluster is down",
      "MASTERDOWN Link with MASTER is down",
    ];
    for (const message of passing) {
      assert.isTrue(entry.isRetryableTransportError(new Error(message)), message);
      assert.isTrue(entry.isRetryableTransportError(message), message);
    }
    const lasting = [
      "no connection string given",
      "unknown socket option",
      "network id is invalid",
      "loading the page failed",
      "the word LOADING within",
      "user not found",
      "",
      "reconnection policy",
      "ERECONN",
    ];
    for (const message of lasting) assert.isFalse(entry.isRetryableTransportError(new Error(message)), message);
    for (const other of [undefined, null, 1, {}, { message: "socket hang up" }]) {
      assert.isFalse(entry.isRetryableTransportError(other));
    }
  },

  "our own errors say themselves whether they are retryable": async ({ entry }) => {
    assert.isTrue(entry.isRetryableTransportError(new entry.CapacityError({ bound: "maxMessages", limit: 1 })));
    assert.isFalse(entry.isRetryableTransportError(new entry.ValidationError("socket hang up")));
    assert.isTrue(entry.isRetryableTransportError(new entry.TabloomError("CLOSED", "x", { retryable: true })));
  },

  "every error code says whether the call may succeed later": async ({ entry }) => {
    for (const [code, { retryable }] of Object.entries(entry.ERROR_CODES)) {
      assert.match(code, /^[A-Z_]+$/);
      assert.isBoolean(retryable);
    }
  },
});
