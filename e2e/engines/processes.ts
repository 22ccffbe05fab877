/** The processes of a browser that this run started, found from the process tree: nobody else's are touched. */
import { readFileSync, readdirSync } from "node:fs";
import type { Tab } from "./driver.js";

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
  /** Processor time that it has had, in ticks of the system. */
  readonly ticks: number;
}

/** Enough to stand out from whatever else a process does: 100 ms. */
const ENOUGH_TICKS = 10;
const WORK_MS = 200;
const TRIES = 20;

/** Every process below this one, children before grandchildren. */
export function descendantsOf(pid: number): Process[] {
  const all = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => read(Number(name)) ?? []);
  const found: Process[] = [];
  for (const queue = [pid]; queue.length > 0;) {
    const parent = queue.shift()!;
    for (const child of all.filter((process) => process.parent === parent)) {
      found.push(child);
      queue.push(child.pid);
    }
  }
  return found;
}

/** undefined: it ended meanwhile. */
function read(pid: number): Process | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name in parentheses may hold anything, so the fields are counted from its end.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
    return { pid, parent: Number(fields[1]), command, ticks: Number(fields[11]) };
  } catch {
    return undefined;
  }
}

/** The process that a page runs in: browsers do not tell, so it is the one that works when the page is told to. */
export async function processOf(tab: Tab, isContent: (process: Process) => boolean, root: number): Promise<number> {
  const before = new Map(descendantsOf(root).map(({ pid, ticks }) => [pid, ticks]));
  for (let tries = 0; tries < TRIES; tries++) {
    await tab.evaluate((ms) => {
      for (const until = performance.now() + ms; performance.now() < until;);
    }, WORK_MS);
    const [most, next] = descendantsOf(root)
      .filter(isContent)
      .map(({ pid, ticks }) => ({ pid, ticks: ticks - (before.get(pid) ?? 0) }))
      .sort((a, b) => b.ticks - a.ticks);
    if (most && most.ticks >= ENOUGH_TICKS && most.ticks > 3 * (next?.ticks ?? 0)) return most.pid;
  }
  throw new Error("no telling which process shows the page");
}

export function kill(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It ended by itself.
    }
  }
}
