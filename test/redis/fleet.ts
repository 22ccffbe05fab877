/** Processes of an app, as the system sees them: they can be killed and stopped in the middle of anything. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { build } from "vite";

const ROOT = resolve(import.meta.dirname, "../..");
/** Below the folder of the libraries that it imports. */
const FOLDER = join(ROOT, ".out");

export interface Member {
  /** The `backend.status.tabId` of its backend, and its first words. */
  readonly name: string;
  readonly pid: number;
  /** Resolves when it is gone. */
  kill(): Promise<void>;
  /** Until `go`, it does nothing at all. */
  halt(): void;
  go(): void;
}

export interface Fleet {
  readonly members: ReadonlySet<Member>;
  /** Resolves when it has said its name. */
  launch(...args: string[]): Promise<Member>;
  /** Ends all of them. */
  end(): Promise<void>;
}

/** Of processes that run this file of the tests. */
export async function fleetOf(file: string): Promise<Fleet> {
  mkdirSync(FOLDER, { recursive: true });
  const folder = mkdtempSync(join(FOLDER, "fleet-"));
  await build({
    configFile: false,
    root: ROOT,
    logLevel: "error",
    define: { __VERSION__: '"0.0.0"' },
    build: {
      ssr: resolve(import.meta.dirname, file),
      outDir: folder,
      target: "node20",
      rolldownOptions: { output: { entryFileNames: "member.js" } },
    },
  });
  const members = new Set<Member>();
  return {
    members,
    async launch(...args) {
      const member = await launch(join(folder, "member.js"), args, () => members.delete(member));
      members.add(member);
      return member;
    },
    async end() {
      await Promise.all([...members].map((member) => member.kill()));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function launch(path: string, args: readonly string[], onGone: () => void): Promise<Member> {
  const child: ChildProcess = spawn(process.execPath, [path, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let errors = "";
  child.stderr!.on("data", (chunk: Buffer) => (errors = (errors + chunk).slice(-4000)));
  const gone = new Promise<void>((done) => child.once("exit", () => done()));
  void gone.then(onGone);
  const name = await new Promise<string>((done, fail) => {
    createInterface(child.stdout!).once("line", done);
    void gone.then(() => fail(new Error(`the process ended:\n${errors}`)));
  });
  return {
    name,
    pid: child.pid!,
    async kill() {
      child.kill("SIGKILL");
      await gone;
    },
    halt: () => void child.kill("SIGSTOP"),
    go: () => void child.kill("SIGCONT"),
  };
}
