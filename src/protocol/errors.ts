/**
 * Every error that tabloom throws on purpose, with a stable `code`. Class, code, fields and cause are the same in a
 * tab, in the hub and behind a socket: `toWire` and `fromWire` carry them.
 */

/** Every code, and whether the same call may succeed later, unchanged. docs/errors.md says what to do about each. */
export const ERROR_CODES = {
  /** Fix the input; `issues` says what is wrong with it. */
  VALIDATION: { retryable: false },
  /** Store the data elsewhere and send a reference, or raise the limit. */
  PAYLOAD_TOO_LARGE: { retryable: false },
  /** A bound was hit: drain, remove, or raise the limit. */
  CAPACITY: { retryable: true },
  /** Another handle opened this instance with settings that exclude these. */
  CONFLICT: { retryable: false },
  /** Someone else holds it; try again or wait longer. */
  LOCKED: { retryable: true },
  /** Wait `resetIn` milliseconds. */
  RATE_LIMITED: { retryable: true },
  /** Events before `firstAvailable` are gone; read a snapshot, then continue. */
  GAP: { retryable: false },
  /** The handle or backend was closed; make a new one. */
  CLOSED: { retryable: false },
  /** The caller's signal aborted; `cause` is its reason. */
  ABORTED: { retryable: false },
  /** No answer in time; the call may or may not have had its effect. */
  TIMEOUT: { retryable: true },
  /** Needs the server; try again when online. */
  OFFLINE: { retryable: true },
  /** The browser's storage failed; nothing was changed. */
  STORAGE: { retryable: true },
  /** The origin's storage is full; free space. Nothing acknowledged was lost. */
  QUOTA: { retryable: true },
  /** Another hub took over this space; the call is sent to it again. */
  FENCED: { retryable: true },
  /** The hub died with memory-only state; read the state again and decide. */
  EPOCH_CHANGED: { retryable: false },
  /** The reply was lost; use an idempotency key to make a retry safe. */
  INDETERMINATE: { retryable: false },
  /** Two builds that do not understand each other; reload this tab. */
  VERSION: { retryable: false },
  /** The platform lacks something tabloom needs; the message names it. */
  UNAVAILABLE: { retryable: false },
  /** Sign in, or ask for the permission. */
  UNAUTHORIZED: { retryable: false },
  /** The work killed its owner too often; look at the input. */
  CRASHED: { retryable: false },
  /** Keep the order of steps stable between attempts. */
  NONDETERMINISTIC: { retryable: false },
  /** No such job, or no longer retained. */
  UNKNOWN_JOB: { retryable: false },
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

export interface TabloomErrorOptions {
  cause?: unknown;
  /** Overrides what the code says. */
  retryable?: boolean;
}

/** The base of every tabloom error. Test `error.code`, not the message. */
export class TabloomError extends Error {
  // Spelled out: minifiers rename classes.
  override readonly name: string = "TabloomError";
  readonly code: ErrorCode;
  /** Whether the same call may succeed later, unchanged. */
  readonly retryable: boolean;

  constructor(code: ErrorCode, message: string, options: TabloomErrorOptions = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.retryable = options.retryable ?? ERROR_CODES[code].retryable;
  }
}

/** One thing that a schema found wrong. The shape is Standard Schema's. */
export interface ValidationIssue {
  readonly message: string;
  readonly path?: readonly (string | number)[];
}

/** A value does not fit its schema, or JSON cannot hold it. Nothing was changed. */
export class ValidationError extends TabloomError {
  override readonly name = "ValidationError";
  readonly issues: readonly ValidationIssue[];
  constructor(message: string, issues: readonly ValidationIssue[] = [{ message }], options?: TabloomErrorOptions) {
    super("VALIDATION", message, options);
    this.issues = issues;
  }
}

/** The JSON text of data, meta and ordering key is larger than the instance allows (UTF-8 bytes). */
export class PayloadTooLargeError extends TabloomError {
  override readonly name: string = "PayloadTooLargeError";
  readonly limitBytes: number;
  readonly actualBytes: number;
  constructor({ limitBytes, actualBytes }: { limitBytes: number; actualBytes: number }) {
    super("PAYLOAD_TOO_LARGE", `payload is ${actualBytes} bytes, the limit is ${limitBytes}`);
    this.limitBytes = limitBytes;
    this.actualBytes = actualBytes;
  }
}

/** A bound of the instance is reached; nothing older was dropped to make room. */
export class CapacityError extends TabloomError {
  override readonly name: string = "CapacityError";
  /** The configuration's name for the bound, such as "maxMessages". */
  readonly bound: string;
  readonly limit: number;
  constructor({ bound, limit }: { bound: string; limit: number }) {
    super("CAPACITY", `${bound} (${limit}) reached`);
    this.bound = bound;
    this.limit = limit;
  }
}

/** Events that a reader had not seen are gone. */
export class GapError extends TabloomError {
  override readonly name = "GapError";
  /** The cursor that was asked for. */
  readonly after: string;
  /** Reading after this cursor continues with what is left. */
  readonly firstAvailable: string;
  constructor({ after, firstAvailable }: { after: string; firstAvailable: string }) {
    super("GAP", `events after ${after} are no longer retained; continue after ${firstAvailable}`);
    this.after = after;
    this.firstAvailable = firstAvailable;
  }
}

/** The rate limit is exceeded. Thrown by `checkOrThrow`. */
export class RateLimitError extends TabloomError {
  override readonly name = "RateLimitError";
  readonly remaining: number;
  /** Milliseconds to the end of the window; with a token bucket, until this cost would pass. */
  readonly resetIn: number;
  constructor({ remaining, resetIn }: { remaining: number; resetIn: number }) {
    super("RATE_LIMITED", "Rate limit exceeded");
    this.remaining = remaining;
    this.resetIn = resetIn;
  }
}

/** A lock was not to be had in time. Thrown by `withLockOrThrow`. */
export class LockError extends TabloomError {
  override readonly name = "LockError";
  readonly resource: string;
  constructor({ resource }: { resource: string }) {
    super("LOCKED", `Failed to acquire lock on resource: ${resource}`);
    this.resource = resource;
  }
}

/** A registry holds as many active entries as it may. */
export class RegistryCapacityError extends CapacityError {
  override readonly name: string = "RegistryCapacityError";
}

/** A registry's value is too large (UTF-8 bytes of its JSON text). */
export class RegistryPayloadTooLargeError extends PayloadTooLargeError {
  override readonly name: string = "RegistryPayloadTooLargeError";
}

/** An ephemeral store holds as many entries as it may. */
export class EphemeralCapacityError extends CapacityError {
  override readonly name: string = "EphemeralCapacityError";
}

/** An ephemeral value is too large (UTF-8 bytes of its JSON text). */
export class EphemeralPayloadTooLargeError extends PayloadTooLargeError {
  override readonly name: string = "EphemeralPayloadTooLargeError";
}

/** The user's `Store` could not write: quota, security. Memory is unchanged. */
export class StoreWriteError extends TabloomError {
  override readonly name = "StoreWriteError";
  constructor(message: string, options?: TabloomErrorOptions) {
    super("STORAGE", message, options);
  }
}

/**
 * Thrown by a job's handler: the job fails at once, whatever attempts are left.
 *
 * @example
 * if (!user) throw new NonRetryableError("no such user");
 */
export class NonRetryableError extends Error {
  override readonly name = "NonRetryableError";
}

/** An event of a topic does not fit the reader's schema. Thrown only with `invalidPayload: "throw"`. */
export class TopicPayloadError extends TabloomError {
  override readonly name = "TopicPayloadError";
  readonly eventId: string;
  /** The JSON text as it is stored. */
  readonly rawPayload: string;
  constructor({ eventId, rawPayload }: { eventId: string; rawPayload: string }, options?: TabloomErrorOptions) {
    super("VALIDATION", `event ${eventId} does not fit the schema`, options);
    this.eventId = eventId;
    this.rawPayload = rawPayload;
  }
}

/** The caller's signal aborted. `cause` is `signal.reason`. */
export class AbortError extends TabloomError {
  override readonly name = "AbortError";
  constructor(reason: unknown) {
    super("ABORTED", "the call was aborted", { cause: reason });
  }
}

export const closedError = (what: string): TabloomError => new TabloomError("CLOSED", `this ${what} is closed`);

/** An instance exists with a setting that excludes the one that is asked for. */
export function conflictError(
  { kind, id }: { kind: string; id: string },
  field: string,
  stored: unknown,
  asked: unknown,
): TabloomError {
  return new TabloomError(
    "CONFLICT",
    `${kind} "${id}" exists with ${field} ${JSON.stringify(stored)}; it cannot be opened with ${JSON.stringify(asked)}`,
  );
}

/** An error as JSON. */
export interface WireError {
  code: ErrorCode | "RANGE" | "UNEXPECTED";
  /** The class, where a code has several. */
  name?: string;
  message: string;
  retryable?: boolean;
  fields?: Record<string, unknown>;
  cause?: WireError;
}

type Revive = (wire: WireError, fields: never, options: TabloomErrorOptions) => TabloomError;

/** By class name where a code has several, else by code. */
const revive: Record<string, Revive | undefined> = {
  VALIDATION: (wire, fields: { issues?: ValidationIssue[] }, options) =>
    new ValidationError(wire.message, fields.issues, options),
  PAYLOAD_TOO_LARGE: (_, fields: { limitBytes: number; actualBytes: number }) => new PayloadTooLargeError(fields),
  CAPACITY: (_, fields: { bound: string; limit: number }) => new CapacityError(fields),
  RegistryCapacityError: (_, fields: { bound: string; limit: number }) => new RegistryCapacityError(fields),
  EphemeralCapacityError: (_, fields: { bound: string; limit: number }) => new EphemeralCapacityError(fields),
  RegistryPayloadTooLargeError: (_, fields: { limitBytes: number; actualBytes: number }) =>
    new RegistryPayloadTooLargeError(fields),
  EphemeralPayloadTooLargeError: (_, fields: { limitBytes: number; actualBytes: number }) =>
    new EphemeralPayloadTooLargeError(fields),
  RATE_LIMITED: (_, fields: { remaining: number; resetIn: number }) => new RateLimitError(fields),
  LOCKED: (_, fields: { resource: string }) => new LockError(fields),
  StoreWriteError: (wire, _, options) => new StoreWriteError(wire.message, options),
  GAP: (_, fields: { after: string; firstAvailable: string }) => new GapError(fields),
};

const BASE_FIELDS = new Set(["name", "code", "retryable", "message", "stack", "cause"]);

export function toWire(error: unknown): WireError {
  if (error instanceof TabloomError) {
    const fields = Object.fromEntries(Object.entries(error).filter(([key]) => !BASE_FIELDS.has(key)));
    return {
      code: error.code,
      message: error.message,
      ...(error.name in revive ? { name: error.name } : {}),
      ...(error.retryable === ERROR_CODES[error.code].retryable ? {} : { retryable: error.retryable }),
      ...(Object.keys(fields).length > 0 ? { fields } : {}),
      ...(error.cause === undefined ? {} : { cause: toWire(error.cause) }),
    };
  }
  if (error instanceof RangeError) return { code: "RANGE", message: error.message };
  return { code: "UNEXPECTED", message: error instanceof Error ? `${error.name}: ${error.message}` : String(error) };
}

export function fromWire(wire: WireError): Error {
  if (wire.code === "RANGE") return new RangeError(wire.message);
  if (wire.code === "UNEXPECTED") return new Error(wire.message);
  const options: TabloomErrorOptions = {
    ...(wire.retryable === undefined ? {} : { retryable: wire.retryable }),
    ...(wire.cause === undefined ? {} : { cause: fromWire(wire.cause) }),
  };
  return (
    revive[wire.name ?? wire.code]?.(wire, (wire.fields ?? {}) as never, options) ??
    new TabloomError(wire.code, wire.message, options)
  );
}
