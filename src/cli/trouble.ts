import { TabloomError } from "../protocol/errors.js";

/** Trouble that the user can do something about: one line. */
export class Trouble extends Error {
  constructor(
    readonly code: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Why a server cannot be asked, and what to do. */
export function noServer(where: string, error: unknown): Trouble {
  const { message, code } = error as Error & { code?: string };
  const because = (name: string, text: string): Trouble => new Trouble(name, text, { cause: error });
  if (error instanceof TabloomError) return because(error.code, message);
  if (code === "ECONNREFUSED" || code === "ENOENT") {
    return because(
      "OFFLINE",
      `no server answers at ${where} (${code}): start one, or say where it is with --redis or REDIS_URL`,
    );
  }
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") {
    return because("OFFLINE", `there is no host of that name: ${where} (${code}); check --redis or REDIS_URL`);
  }
  if (message.startsWith("NOAUTH")) {
    return because("UNAUTHORIZED", `${where} wants a password: --redis redis://:password@host:port, or user:password@`);
  }
  if (message.startsWith("WRONGPASS") || message.includes("invalid password")) {
    return because("UNAUTHORIZED", `${where} knows no such user and password (WRONGPASS): check those in the URL`);
  }
  if (message.startsWith("NOPERM")) return because("UNAUTHORIZED", `${where} lets this user do too little: ${message}`);
  if (message.includes("DB index")) {
    return because("VALIDATION", `${where} has no database of that number: leave out the path of the URL`);
  }
  if (message.startsWith("LOADING")) {
    return because("OFFLINE", `${where} is still loading its data: try again in a moment`);
  }
  const ssl = /ssl|tls|certificate/i.test(message) || /^(ERR_(SSL|TLS)|CERT|DEPTH_ZERO|SELF_SIGNED)/.test(code ?? "");
  const hint = ssl || code === "ETIMEDOUT" ? "; does it speak TLS (rediss://) or not (redis://)?" : "";
  return because("OFFLINE", `${where} does not answer as a Redis server does: ${message}${hint}`);
}

/** In one line, whatever it was. */
export function told(error: unknown): { code: string; message: string } {
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof Trouble || error instanceof TabloomError ? error.code : "FAILED";
  return { code, message: message.replaceAll(/\s*\n\s*/g, "; ") };
}
