import {
  CapacityError,
  EphemeralCapacityError,
  EphemeralPayloadTooLargeError,
  GapError,
  PayloadTooLargeError,
  RegistryCapacityError,
  RegistryPayloadTooLargeError,
  TabloomError,
  ValidationError,
  fromWire,
} from "../protocol/errors.js";

/**
 * What became of a script when its reply is an error.
 * - `unopened`: the instance is not there (any more); nothing happened.
 * - `else`: it is not for this script, but for the command's other one; nothing happened.
 * - `unloaded`: the server does not know the script; nothing happened.
 * - `later`: the server cannot run it just now; nothing happened.
 * - `lost`: the connection broke; it may or may not have run.
 * - `refused`: by a rule, or by the server; nothing happened.
 */
export interface Failure {
  readonly what: "unopened" | "else" | "unloaded" | "later" | "lost" | "refused";
  readonly error: Error;
}

/** The server cannot just now, or nothing was sent to it. */
const LATER =
  /^(LOADING|CLUSTERDOWN|TRYAGAIN|MASTERDOWN|BUSY|READONLY|NOREPLICAS|MOVED|ASK)\b|^(Stream isn't writeable|Cluster isn't ready|None of startup nodes|Failed to refresh slots|Too many Cluster redirections)/;
const LOST = /^(Connection is closed|Reached the max retries|Socket timeout|Command timed out)/;

/** A call that ended before it went to a server. */
export class NotSent extends Error {
  constructor(cause: Error) {
    super(cause.message, { cause });
  }
}

export function failureOf(error: unknown): Failure {
  const text = textOf(error);
  if (text.startsWith("TL ")) return { what: "refused", error: ownError(text) };
  const cause = error instanceof Error ? error : new Error(text);
  if (text.startsWith("UNOPENED")) return { what: "unopened", error: cause };
  if (text.startsWith("ELSE")) return { what: "else", error: cause };
  if (text.startsWith("NOSCRIPT")) return { what: "unloaded", error: cause };
  if (LATER.test(text) || error instanceof NotSent) return { what: "later", error: cause };
  if (LOST.test(text) || isTransport(cause)) return { what: "lost", error: cause };
  if (text.startsWith("OOM"))
    return refused("QUOTA", "Redis has no memory left (maxmemory); nothing was changed", cause);
  if (text.startsWith("MISCONF")) {
    return refused("STORAGE", "Redis cannot write to its disk and refuses to change data; nothing was changed", cause);
  }
  return { what: "refused", error: unauthorized(cause) ?? cause };
}

/** It answers, and lets nobody in, or does not let us do this: no waiting helps. */
export function unauthorized(cause: unknown): TabloomError | undefined {
  const text = textOf(cause);
  if (!/^(NOAUTH|WRONGPASS|NOPERM)\b/.test(text)) return undefined;
  // Without the cause: that of ioredis tells what was sent, the password.
  return new TabloomError("UNAUTHORIZED", `Redis refused: ${text}`);
}

/** Before Redis 7 what a script's own commands are refused with stands at the end of another message. */
function textOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return /^ERR Error running script .*? -([A-Z]+ .*)$/s.exec(text)?.[1] ?? text;
}

/** For calls that cannot wait any longer for the server. `mayHaveRun`: sent before, and its reply was lost. */
export function offline(cause: unknown, mayHaveRun = false): TabloomError {
  const said = cause instanceof Error ? cause.message : "";
  const hint = said.startsWith("MOVED") ? " (it is a node of a cluster: pass a Cluster of ioredis)" : "";
  const effect = mayHaveRun ? "it may have run, and running twice does no harm" : "nothing was changed";
  return (
    unauthorized(cause) ??
    new TabloomError("OFFLINE", `no answer from Redis${said && `: ${said}`}${hint}; ${effect}`, { cause })
  );
}

/** For calls whose reply was lost, when nobody is to ask again, or could. */
export function indeterminate(op: string, cause: unknown): TabloomError {
  return new TabloomError(
    "INDETERMINATE",
    `the connection to Redis broke before the reply to ${op}: it may or may not have had its effect`,
    { cause },
  );
}

function refused(code: "QUOTA" | "STORAGE", message: string, cause: Error): Failure {
  return { what: "refused", error: new TabloomError(code, message, { cause }) };
}

function isTransport(error: Error): boolean {
  const { code } = error as { code?: unknown };
  return typeof code === "string" && /^E(CONN|PIPE|TIMEDOUT|HOST|NET|NOTFOUND)/.test(code);
}

const capacityErrors: Record<string, typeof CapacityError | undefined> = {
  registry: RegistryCapacityError,
  ephemeral: EphemeralCapacityError,
};
const payloadErrors: Record<string, typeof PayloadTooLargeError | undefined> = {
  registry: RegistryPayloadTooLargeError,
  ephemeral: EphemeralPayloadTooLargeError,
};

/**
 * What a script rejects with, `TL <code> <words>`. Scripts never put a caller's text in, so words are split at blanks:
 * `CAPACITY <bound> <limit>` and `TOO_LARGE <limit> <actual>`, then the kind where it has classes of its own;
 * `RANGE <message>`, `VALIDATION <message>`; any other code is followed by its message.
 */
function ownError(text: string): Error {
  const [, code = "", ...words] = text.split(" ");
  const message = words.join(" ");
  if (code === "CAPACITY") {
    return new (capacityErrors[words[2]!] ?? CapacityError)({ bound: words[0]!, limit: Number(words[1]) });
  }
  if (code === "TOO_LARGE") {
    const sizes = { limitBytes: Number(words[0]), actualBytes: Number(words[1]) };
    return new (payloadErrors[words[2]!] ?? PayloadTooLargeError)(sizes);
  }
  if (code === "GAP") return new GapError({ after: words[0]!, firstAvailable: words[1]! });
  if (code === "RANGE") return new RangeError(message);
  if (code === "VALIDATION") return new ValidationError(message);
  return fromWire({ code: code as never, message });
}
