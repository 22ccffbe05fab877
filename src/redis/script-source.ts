import { TabloomError } from "../protocol/errors.js";

/** A script as it goes to the server, and the parts of the instance whose keys it is given. */
export interface ScriptSource {
  readonly name: string;
  readonly text: string;
  readonly parts: readonly string[];
}

const files = import.meta.glob<string>("./lua/*.lua", { query: "?raw", import: "default", eager: true });

/**
 * The script of a file in lua/. Its header says which keys it is given (`-- KEYS meta messages`: locals `meta_key`,
 * `messages_key`) and which functions it needs besides those of prelude.lua (`-- PRELUDE queue`: prelude-queue.lua).
 */
export function scriptSource(name: string): ScriptSource {
  const body = fileOf(name);
  const parts = header(body, "KEYS");
  const preludes = ["prelude", ...header(body, "PRELUDE").map((part) => `prelude-${part}`)];
  const locals = parts.map((part) => `${part}_key`).join(", ");
  const values = parts.map((_, i) => `KEYS[${i + 1}]`).join(", ");
  const text = [`local ${locals} = ${values}`, ...preludes.map(fileOf), body].join("\n");
  return { name, text: withoutComments(text), parts };
}

function fileOf(name: string): string {
  const text = files[`./lua/${name}.lua`];
  if (text === undefined) throw new TabloomError("UNAVAILABLE", `this build has no Lua script ${name}`);
  return text;
}

function header(text: string, word: string): string[] {
  const line = new RegExp(`^-- ${word} (.+)$`, "m").exec(text);
  return line ? line[1]!.trim().split(/\s+/) : [];
}

/** Whole lines only: what stands in a text of Lua stays. */
function withoutComments(text: string): string {
  return text.replace(/^\s*--.*\n/gm, "");
}
