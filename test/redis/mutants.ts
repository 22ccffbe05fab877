/** Scripts with one step taken out. */
import type { ScriptSource } from "../../src/redis/script-source.js";

const WRITES = new Set(
  (
    "HSET HSETNX HDEL HINCRBY ZADD ZREM ZPOPMIN ZINCRBY ZREMRANGEBYSCORE ZREMRANGEBYRANK ZREMRANGEBYLEX DEL UNLINK SET INCR " +
    "INCRBY SADD SREM LPUSH RPUSH LPOP RPOP LREM LTRIM XADD XTRIM XDEL XGROUP XACK PEXPIRE PEXPIREAT EXPIRE"
  ).split(" "),
);

/** Where nothing is made of what they reply, or they are counted. Some are made by functions of the preludes. */
const CALL = /(?<=^\s*|\bthen |\bdo |\belse |(\+ ))(redis\.call|write|write_set|call_many)\("(\w+)"/gm;

export interface Mutant {
  /** The command, and the part of the instance whose key it is given first: "ZADD ready". */
  readonly step: string;
  /** What was taken out, as it stood there. */
  readonly without: string;
  readonly text: string;
}

/** Every writing call that stands on its own and whose key is named, taken out; also one that a helper makes. */
export function mutantsOf({ text, parts }: ScriptSource): Mutant[] {
  const mutants: Mutant[] = [];
  for (const match of text.matchAll(CALL)) {
    const [, counted, call, command] = match as unknown as [string, string | undefined, string, string];
    const end = endOfCall(text, match.index + call.length);
    if (end === undefined || (call !== "write_set" && !WRITES.has(command))) continue;
    const without = text.slice(match.index, end);
    const key = /KEYS\[(\d+)\]/.exec(without)?.[1];
    if (key === undefined) continue;
    mutants.push({
      step: `${call === "write_set" ? "sets" : command} ${parts[Number(key) - 1]}`,
      without,
      text: `${text.slice(0, match.index)}${counted ? "0" : "do end"}${text.slice(end)}`,
    });
  }
  return mutants;
}

/** Behind the bracket that closes the one at `from`. */
function endOfCall(text: string, from: number): number | undefined {
  let depth = 0;
  let quote = "";
  for (let i = from; i < text.length; i++) {
    const char = text[i]!;
    if (quote) {
      if (char === "\\") i++;
      else if (char === quote) quote = "";
    } else if (char === '"' || char === "'") quote = char;
    else if (char === "(") depth++;
    else if (char === ")" && --depth === 0) return i + 1;
  }
  return undefined;
}
