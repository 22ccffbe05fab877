/** Processes of an app, as the system sees them: they can be killed and stopped in the middle of anything. */
import { type ChildProcess, spawn } from "node:child_process";
import { basename, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const ROOT = resolve(import.meta.dirname, "../..");
/** Below the folder of the libraries that they import. */
const FOLDER = join(ROOT, ".out/children");

/** A process that runs a module of the tests. */
export interface Child {
  readonly pid: number;
  /** The next line that it says. */
  says(): Promise<string>;
  tell(line: string): void;
  /** "SIGSTOP": from now on it does nothing at all, until "SIGCONT". */
  signal(name: "SIGSTOP" | "SIGCONT"): void;
  /** Ends it without letting it finish anything. Resolves when it is gone. */
  kill(): Promise<void>;
}

const running = new Set<Child>();
/** Each module is built once: a process of its own then starts as quickly as any. */
const builds = new Map<string, Promise<string>>();

export async function startChild(module: URL, ...args: string[]): Promise<Child> {
  const file = fileURLToPath(module);
  let built = builds.get(file);
  if (built === undefined) builds.set(file, (built = builtOf(file)));
  const child: ChildProcess = spawn(process.execPath, [await built, ...args], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const gone = new Promise<void>((done) => child.once("exit", () => done()));
  const started: Child = {
    pid: child.pid!,
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

async function builtOf(file: string): Promise<string> {
  // Most files of tests start none.
  const { build } = await import("vite");
  const name = basename(file, ".ts");
  const outDir = join(FOLDER, name);
  await build({
    configFile: false,
    root: ROOT,
    logLevel: "error",
    define: { __VERSION__: '"0.0.0"' },
    build: {
      ssr: file,
      outDir,
      target: "node20",
      rolldownOptions: { output: { entryFileNames: `${name}.js` } },
    },
  });
  return join(outDir, `${name}.js`);
}
