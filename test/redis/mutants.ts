/** Scripts with one step taken out. */
import type { ScriptSource } from "../../src/redis/script-source.js";

const WRITES = new Set(
  (
    "HSET HSETNX HDEL HINCRBY ZADD ZREM ZPOPMIN ZINCRBY ZREMRANGEBYSCORE ZREMRANGEBYRANK ZREMRANGEBYLEX DEL UNLINK SET INCR " +
    "INCRBY SADD SREM LPUSH RPUSH LPOP RPOP LREM LTRIM XADD XTRIM XDEL XGROUP XACK PEXPIRE PEXPIREAT EXPIRE"
  ).split(" "),
);

export interface Mutant {
  /** The command, and the part of the instance whose key it is given first: "ZADD ready". */
  readonly step: string;
  /** What was taken out, as it stood there. */
  readonly without: string;
  readonly text: string;
}

/** Every writing call that stands on its own and whose key is named, taken out. */
export function mutantsOf({ text, parts }: ScriptSource): Mutant[] {
  const mutants: Mutant[] = [];
  for (const match of text.matchAll(/(?<=^\s*|\bthen |\bdo |\belse )redis\.call\("([A-Z]+)"/gm)) {
    const end = endOfCall(text, match.index + "redis.call".length);
    if (!WRITES.has(match[1]!) || end === undefined) continue;
    const without = text.slice(match.index, end);
    const key = /^redis\.call\("[A-Z]+", KEYS\[(\d+)\]/.exec(without)?.[1];
    if (key === undefined) continue;
    mutants.push({
      step: `${match[1]} ${parts[Number(key) - 1]}`,
      without,
      text: `${text.slice(0, match.index)}do end${text.slice(end)}`,
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
