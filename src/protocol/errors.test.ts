import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  AbortError,
  CapacityError,
  ERROR_CODES,
  EphemeralCapacityError,
  EphemeralPayloadTooLargeError,
  type ErrorCode,
  GapError,
  LockError,
  PayloadTooLargeError,
  RateLimitError,
  RegistryCapacityError,
  RegistryPayloadTooLargeError,
  StoreWriteError,
  TabloomError,
  TopicPayloadError,
  ValidationError,
  closedError,
  fromWire,
  toWire,
} from "./errors.js";

const throughWire = (error: unknown): Error =>
  fromWire(JSON.parse(JSON.stringify(toWire(error))) as ReturnType<typeof toWire>);

const samples: TabloomError[] = [
  new ValidationError("does not fit", [{ message: "wrong", path: ["user", 0, "age"] }]),
  new PayloadTooLargeError({ limitBytes: 10, actualBytes: 11 }),
  new CapacityError({ bound: "maxMessages", limit: 3 }),
  new GapError({ after: "G.1", firstAvailable: "G.5" }),
  closedError("queue"),
  new RateLimitError({ remaining: 0, resetIn: 12 }),
  new LockError({ resource: "r" }),
  new RegistryCapacityError({ bound: "maxEntries", limit: 1 }),
  new RegistryPayloadTooLargeError({ limitBytes: 10, actualBytes: 11 }),
  new EphemeralCapacityError({ bound: "maxEntries", limit: 1 }),
  new EphemeralPayloadTooLargeError({ limitBytes: 10, actualBytes: 11 }),
  new StoreWriteError("the store is full"),
];

test("every code is documented, with what to do", () => {
  const page = readFileSync("docs/errors.md", "utf8");
  const documented = [...page.matchAll(/^\| `([A-Z_]+)`/gm)].map(([, code]) => code);
  expect(new Set(documented)).toEqual(new Set(Object.keys(ERROR_CODES)));
});

describe("errors on the wire", () => {
  test.each(samples.map((error) => [error.name, error] as const))(
    "%s keeps class, code, message and fields",
    (_, error) => {
      const revived = throughWire(error);
      expect(revived).toBeInstanceOf(error.constructor);
      expect(revived).toBeInstanceOf(TabloomError);
      expect(Object.entries(revived)).toEqual(Object.entries(error));
      expect(revived.message).toBe(error.message);
      expect(revived.name).toBe(error.name);
    },
  );

  test.each(Object.keys(ERROR_CODES) as ErrorCode[])("%s keeps code and retryable", (code) => {
    const error = throughWire(new TabloomError(code, "message")) as TabloomError;
    expect(error.code).toBe(code);
    expect(error.retryable).toBe(ERROR_CODES[code].retryable);
  });

  test("a cause keeps its own class and code", () => {
    const cause = new CapacityError({ bound: "maxDead", limit: 1 });
    const revived = throughWire(new TabloomError("STORAGE", "failed", { cause }));
    expect(revived.cause).toBeInstanceOf(CapacityError);
    expect((revived.cause as CapacityError).bound).toBe("maxDead");
    const validation = throughWire(new ValidationError("x", [{ message: "x" }], { cause: new RangeError("deep") }));
    expect(validation.cause).toBeInstanceOf(RangeError);
  });

  test("what was said about retrying is kept", () => {
    expect((throughWire(new TabloomError("CLOSED", "x", { retryable: true })) as TabloomError).retryable).toBe(true);
    expect((throughWire(new ValidationError("x", [], { retryable: true })) as TabloomError).retryable).toBe(true);
  });

  test("RangeError stays one; what nobody threw on purpose keeps its text", () => {
    expect(throughWire(new RangeError("too long"))).toEqual(new RangeError("too long"));
    expect(throughWire(new RangeError("too long"))).toBeInstanceOf(RangeError);
    expect(throughWire(new TypeError("x is not a function")).message).toContain("TypeError: x is not a function");
    expect(throughWire("text").message).toBe("text");
  });

  test("messages say the numbers", () => {
    expect(new PayloadTooLargeError({ limitBytes: 10, actualBytes: 11 }).message).toContain("11");
    expect(new CapacityError({ bound: "maxDead", limit: 7 }).message).toContain("maxDead (7)");
  });

  test("AbortError carries the signal's reason", () => {
    const reason = new Error("enough");
    expect(new AbortError(reason).cause).toBe(reason);
    expect(new AbortError(reason)).toMatchObject({ name: "AbortError", code: "ABORTED" });
  });

  test("TopicPayloadError has the event's id and text", () => {
    const error = new TopicPayloadError({ eventId: "e", rawPayload: "{" });
    expect(error).toMatchObject({ name: "TopicPayloadError", code: "VALIDATION", eventId: "e", rawPayload: "{" });
  });
});
