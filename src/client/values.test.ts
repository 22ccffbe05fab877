import { describe, expect, test, vi } from "vitest";
import * as v from "valibot";
import { z } from "zod";
import { ValidationError } from "../protocol/errors.js";
import type { Schema } from "./schema.js";
import { decodeMeta, decodeValue, encodeMeta, encodeValue } from "./values.js";

const anything = z.unknown();

/** A schema that answers with these issues. */
const refusing = (...issues: { message: string; path?: (PropertyKey | { key: PropertyKey })[] }[]): Schema => ({
  "~standard": { version: 1, vendor: "test", validate: () => ({ issues }) },
});

const issuesOf = (run: () => unknown): ValidationError["issues"] => {
  try {
    run();
  } catch (error) {
    if (error instanceof ValidationError) return error.issues;
    throw error;
  }
  throw new Error("accepted");
};

describe("values", () => {
  test("a write gives the JSON text, not the schema's output", () => {
    expect(encodeValue(z.string().transform(Number), "42")).toBe('"42"');
    expect(decodeValue(z.string().transform(Number), '"42"')).toBe(42);
  });

  test("the schema sees what JSON makes of the value, once", async () => {
    const validate = vi.fn<(value: unknown) => { value: unknown }>((value) => ({ value }));
    const schema: Schema = { "~standard": { version: 1, vendor: "test", validate } };
    await encodeValue(schema, { at: new Date(0), gone: undefined });
    expect(validate.mock.calls).toEqual([[{ at: "1970-01-01T00:00:00.000Z" }]]);
    await decodeValue(schema, "[1]");
    expect(validate).toHaveBeenCalledTimes(2);
  });

  test("undefined is the empty text", () => {
    expect(encodeValue(anything, undefined)).toBe("");
    expect(decodeValue(anything, "")).toBeUndefined();
    expect(encodeMeta(undefined)).toBeUndefined();
    expect(decodeMeta(undefined)).toBeUndefined();
    expect(decodeMeta(encodeMeta(null))).toBeNull();
  });

  test("sync schemas answer at once, async ones with a promise", async () => {
    expect(encodeValue(anything, 1)).toBe("1");
    const slow = v.pipeAsync(
      v.string(),
      v.checkAsync((text) => Promise.resolve(text !== "bad")),
    );
    await expect(encodeValue(slow, "good")).resolves.toBe('"good"');
    await expect(encodeValue(slow, "bad")).rejects.toBeInstanceOf(ValidationError);
  });

  test.each([[1n], [{ deep: [1n] }], [() => 1], [Symbol("s")]])("JSON cannot hold %s", (value) => {
    expect(() => encodeValue(anything, value)).toThrow(ValidationError);
    expect(() => encodeMeta(value)).toThrow(ValidationError);
  });

  test("what toJSON throws is the cause", () => {
    const cause = new Error("no");
    const value = {
      toJSON: () => {
        throw cause;
      },
    };
    expect(() => encodeValue(anything, value)).toThrow(expect.objectContaining({ code: "VALIDATION", cause }));
  });

  test("a text that is not JSON does not fit", () => {
    expect(() => decodeValue(anything, "{")).toThrow(ValidationError);
  });

  test("issues are plain: paths of strings and numbers", () => {
    const issues = issuesOf(() =>
      encodeValue(refusing({ message: "one" }, { message: "two", path: ["a", { key: 0 }, Symbol("s")] }), 1),
    );
    expect(issues).toEqual([{ message: "one" }, { message: "two", path: ["a", 0, "Symbol(s)"] }]);
    expect(JSON.parse(JSON.stringify(issues))).toEqual(issues);
  });

  test("the message names the place", () => {
    expect(() => encodeValue(z.object({ user: z.object({ age: z.number() }) }), { user: { age: "x" } })).toThrow(
      /at user\.age/,
    );
  });
});
