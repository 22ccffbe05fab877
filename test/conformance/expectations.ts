import { assert } from "chai";
import type * as entry from "../../src/memory.js";

/** The error of a promise that must reject. */
export async function rejection(promise: Promise<unknown>): Promise<Error> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    assert.instanceOf(error, Error);
    return error as Error;
  }
  assert.fail(`expected a rejection, got ${JSON.stringify(value) ?? String(value)}`);
}

/** Rejects with one of tabloom's errors; returns it, for its fields. */
export async function rejectsWith<E extends entry.TabloomError>(
  promise: Promise<unknown>,
  code: entry.ErrorCode,
): Promise<E> {
  return hasCode<E>(await rejection(promise), code);
}

export async function rejectsWithRange(promise: Promise<unknown>): Promise<void> {
  isRangeError(await rejection(promise));
}

export function throwsWith<E extends entry.TabloomError>(run: () => unknown, code: entry.ErrorCode): E {
  return hasCode<E>(thrown(run), code);
}

export function throwsRange(run: () => unknown): void {
  isRangeError(thrown(run));
}

/** Lets what is under way go on until the condition holds; gives up after a time that only a failure takes. */
export async function eventually(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const giveUpAt = performance.now() + 5000;
  while (!(await condition())) {
    if (performance.now() > giveUpAt) assert.fail(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** A promise that has not settled by now. Ask the backend something first, so that its answers had time to come. */
export async function isPending(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol("pending");
  return (await Promise.race([promise, Promise.resolve(pending)])) === pending;
}

function thrown(run: () => unknown): Error {
  let value: unknown;
  try {
    value = run();
  } catch (error) {
    return error as Error;
  }
  assert.fail(`expected an error, got ${JSON.stringify(value) ?? String(value)}`);
}

function hasCode<E extends entry.TabloomError>(error: Error, code: entry.ErrorCode): E {
  assert.strictEqual((error as E).code, code, `${error.name}: ${error.message}`);
  return error as E;
}

function isRangeError(error: Error): void {
  assert.instanceOf(error, RangeError, `${error.name}: ${error.message}`);
}
