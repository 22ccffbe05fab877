import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** A process that runs a module of the sources. */
export interface Child {
  /** The next line that it says. */
  says(): Promise<string>;
  tell(line: string): void;
  /** "SIGSTOP": from now on it does nothing at all, until "SIGCONT". */
  signal(name: "SIGSTOP" | "SIGCONT"): void;
  /** Ends it without letting it finish anything. Resolves when it is gone. */
  kill(): Promise<void>;
}

const RUN = `
  import { runnerImport } from "vite";
  const define = { __VERSION__: JSON.stringify("test") };
  await runnerImport(process.argv[1], { configFile: false, logLevel: "error", define });
`;

const running = new Set<Child>();

export function startChild(module: URL, ...args: string[]): Child {
  const file = fileURLToPath(module);
  const child: ChildProcess = spawn(process.execPath, ["--input-type=module", "-e", RUN, file, ...args], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const started: Child = {
    async says() {
      const { value, done } = await lines.next();
      if (done) throw new Error(`${file} ended`);
      return value as string;
    },
    tell: (line) => child.stdin!.write(`${line}\n`),
    signal: (name) => void child.kill(name),
    async kill() {
      running.delete(started);
      child.kill("SIGKILL");
      await gone;
    },
  };
  running.add(started);
  return started;
}

export async function killChildren(): Promise<void> {
  await Promise.all([...running].map((child) => child.kill()));
}
