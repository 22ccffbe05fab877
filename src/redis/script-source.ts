import { TabloomError } from "../protocol/errors.js";
import { leanScript } from "./lean-lua.js";

/** A script as it goes to the server, and the parts of the instance whose keys it is given. */
export interface ScriptSource {
  readonly name: string;
  readonly text: string;
  readonly parts: readonly string[];
}

const files = import.meta.glob<string>("./lua/*.lua", { query: "?raw", import: "default", eager: true });
const sources = new Map<string, ScriptSource>();

/**
 * The script of a file in lua/. Its header says which keys it may touch (`-- KEYS meta messages`: in the text `meta_key`,
 * `messages_key`), of which it is given those that it needs, and which functions it needs besides those of prelude.lua
 * (`-- PRELUDE queue`: prelude-queue.lua).
 */
export function scriptSource(name: string): ScriptSource {
  let source = sources.get(name);
  if (source === undefined) sources.set(name, (source = makeSource(name)));
  return source;
}

function makeSource(name: string): ScriptSource {
  const body = fileOf(name);
  const preludes = ["prelude", ...header(body, "PRELUDE").map((part) => `prelude-${part}`)];
  const text = leanScript([...preludes.map(fileOf), body]);
  const parts = header(body, "KEYS").filter((part) => new RegExp(`(?<![.\\w])${part}_key\\b`).test(text));
  // Named, so that no two are one to the server, which knows them by their texts.
  return { name, text: `-- ${name}\n${withKeys(text, parts)}`, parts };
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

/** Locals for them would cost each function that uses one. Fields of tables (`place.line_key`) are something else. */
function withKeys(text: string, parts: readonly string[]): string {
  const places = new Map(parts.map((part, i) => [`${part}_key`, `KEYS[${i + 1}]`]));
  return text.replace(/(?<![.\w])\w+_key\b(?!\s*=[^=])/g, (word) => places.get(word) ?? word);
}
