import { type ChildProcess, execFile, spawn } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import type { Site } from "./server.js";

const APPS = resolve("e2e/consumers");
const run = promisify(execFile);

/** The apps of e2e/consumers in a folder of their own, with the packed package installed. */
export interface Consumers {
  /** Where an app is. */
  folder(app: string): string;
  /** Runs a command in an app's folder; rejects with what it printed when it fails. */
  run(app: string, command: string, ...args: string[]): Promise<void>;
  close(): void;
}

export async function installConsumers(apps: readonly string[]): Promise<Consumers> {
  const root = mkdtempSync(join(tmpdir(), "tabloom-consumers-"));
  const folder = (app: string): string => join(root, app);
  const consumers: Consumers = {
    folder,
    async run(app, command, ...args) {
      await run(command, args, { cwd: folder(app) }).catch((error: Error & { stdout: string; stderr: string }) => {
        throw new Error(`${app}: ${command} ${args.join(" ")}\n${error.stdout}${error.stderr}`);
      });
    },
    close: () => rmSync(root, { recursive: true, force: true, maxRetries: 5 }),
  };
  try {
    const { stdout } = await run("npm", ["pack", "--silent", "--pack-destination", root]);
    const packed = join(root, stdout.trim());
    const quiet = ["--no-audit", "--no-fund", "--prefer-offline", "--no-save"];
    const install = async (app: string): Promise<void> => {
      cpSync(join(APPS, app), folder(app), { recursive: true });
      cpSync(join(APPS, "tab.js"), join(folder(app), "src/tab.js"));
      await consumers.run(app, "npm", "install", ...quiet, packed);
    };
    await allOf(apps.map(install));
    return consumers;
  } catch (error) {
    consumers.close();
    throw error;
  }
}

/** Waits for all of them, also when one fails: what still ran would write into folders that are being deleted. */
export async function allOf(tasks: Promise<void>[]): Promise<void> {
  const ends = await Promise.allSettled(tasks);
  for (const end of ends) if (end.status === "rejected") throw end.reason;
}

/** A site whose server is a program that prints its address. */
export async function serveWith(folder: string, ...args: string[]): Promise<Site> {
  const server = spawn(process.execPath, args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  let complaints = "";
  server.stderr.on("data", (text: Buffer) => (complaints += text.toString()));
  const ended = once(server).then((code) => {
    throw new Error(`${args.join(" ")} ended with ${code}: ${complaints}`);
  });
  const address = new Promise<string>((found) => {
    createInterface(server.stdout).on("line", (line) => {
      if (line.startsWith("http:")) found(new URL(line).origin);
    });
  });
  const origin = await Promise.race([address, ended]);
  return {
    origin,
    async close() {
      ended.catch(() => {});
      server.kill();
      await once(server);
    },
  };
}

function once(server: ChildProcess): Promise<number | null> {
  return new Promise((resolved) => server.once("close", resolved));
}
