/**
 * Every error that tabloom throws on purpose, with a stable `code`. Class, code, fields and cause are the same in a
 * tab, in the hub and behind a socket: `toWire` and `fromWire` carry them.
 */

/** What a code means and what to do about it. `retryable`: the same call may succeed later, unchanged. */
export const ERROR_CODES = {
  VALIDATION: { retryable: false, todo: "Fix the input; `issues` says what is wrong with it." },
  PAYLOAD_TOO_LARGE: { retryable: false, todo: "Store the data elsewhere and send a reference, or raise the limit." },
  CAPACITY: { retryable: true, todo: "A bound was hit: drain, remove, or raise the limit." },
  CONFLICT: { retryable: false, todo: "Another handle opened this instance with settings that exclude these." },
  LOCKED: { retryable: true, todo: "Someone else holds it; try again or wait longer." },
  RATE_LIMITED: { retryable: true, todo: "Wait `resetIn` milliseconds." },
  GAP: { retryable: false, todo: "Events before `firstAvailable` are gone; read a snapshot, then continue." },
  CLOSED: { retryable: false, todo: "The handle or backend was closed; make a new one." },
  ABORTED: { retryable: false, todo: "The caller's signal aborted; `cause` is its reason." },
  TIMEOUT: { retryable: true, todo: "No answer in time; the call may or may not have had its effect." },
  OFFLINE: { retryable: true, todo: "Needs the server; try again when online." },
  STORAGE: { retryable: true, todo: "The browser's storage failed; nothing was changed." },
  QUOTA: { retryable: true, todo: "The origin's storage is full; free space. Nothing acknowledged was lost." },
  FENCED: { retryable: true, todo: "Another hub took over this space; the call is sent to it again." },
  EPOCH_CHANGED: { retryable: false, todo: "The hub died with memory-only state; read the state again and decide." },
  INDETERMINATE: { retryable: false, todo: "The reply was lost; use an idempotency key to make a retry safe." },
  VERSION: { retryable: false, todo: "Two builds that do not understand each other; reload this tab." },
  UNAVAILABLE: { retryable: true, todo: "The platform lacks something tabloom needs; the message names it." },
  UNAUTHORIZED: { retryable: false, todo: "Sign in, or ask for the permission." },
  CRASHED: { retryable: false, todo: "The work killed its owner too often; look at the input." },
  NONDETERMINISTIC: { retryable: false, todo: "Keep the order of steps stable between attempts." },
  UNKNOWN_JOB: { retryable: false, todo: "No such job, or no longer retained." },
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

export interface TabloomErrorOptions {
  cause?: unknown;
  /** Overrides what the code says. */
  retryable?: boolean;
}

/** The base of every tabloom error. Test `error.code`, not the message. */
export class TabloomError extends Error {
  readonly code: ErrorCode;
  /** Whether the same call may succeed later, unchanged. */
  readonly retryable: boolean;

  constructor(code: ErrorCode, message: string, options: TabloomErrorOptions = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.name = new.target.name;
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
  override readonly name = "PayloadTooLargeError";
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
  override readonly name = "CapacityError";
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

/** An error as JSON. */
export interface WireError {
  code: ErrorCode | "RANGE" | "UNEXPECTED";
  message: string;
  retryable?: boolean;
  fields?: Record<string, unknown>;
  cause?: WireError;
}

type Revive = (wire: WireError, fields: never, options: TabloomErrorOptions) => TabloomError;

const revive: Partial<Record<ErrorCode, Revive>> = {
  VALIDATION: (wire, fields: { issues?: ValidationIssue[] }, options) =>
    new ValidationError(wire.message, fields.issues, options),
  PAYLOAD_TOO_LARGE: (_, fields: { limitBytes: number; actualBytes: number }) => new PayloadTooLargeError(fields),
  CAPACITY: (_, fields: { bound: string; limit: number }) => new CapacityError(fields),
  GAP: (_, fields: { after: string; firstAvailable: string }) => new GapError(fields),
};

const BASE_FIELDS = new Set(["name", "code", "retryable", "message", "stack", "cause"]);

export function toWire(error: unknown): WireError {
  if (error instanceof TabloomError) {
    const fields = Object.fromEntries(Object.entries(error).filter(([key]) => !BASE_FIELDS.has(key)));
    return {
      code: error.code,
      message: error.message,
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
    revive[wire.code]?.(wire, (wire.fields ?? {}) as never, options) ??
    new TabloomError(wire.code, wire.message, options)
  );
}
