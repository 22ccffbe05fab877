import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Builder, Capabilities, type WebDriver } from "selenium-webdriver";
import { type Browser, type Engine, type Tab, cannot, sourceOf } from "./driver.js";
import { descendantsOf, kill, processOf } from "./processes.js";
import { type Desk, launchOnDisk, openDesk } from "./webkit-on-disk.js";

const WEBKIT_DRIVER = process.env.WEBKIT_DRIVER_PATH ?? "/usr/bin/WebKitWebDriver";
export const MINI_BROWSER =
  process.env.MINI_BROWSER_PATH ??
  `/usr/lib/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu/webkit2gtk-4.1/MiniBrowser`;
const XVFB = "/usr/bin/Xvfb";
const ASK_AGAIN_MS = 10;
const UP_WITHIN_MS = 10_000;

/** WebKitGTK has no headless mode: all its browsers share one screen that nobody sees. */
export function webkit(): Engine {
  let screen: Promise<{ server: ChildProcess; display: string }> | undefined;
  return {
    name: "webkit",
    abilities: { endWorkers: false, freeze: false },
    async launch({ onDisk = false } = {}) {
      const { display } = await (screen ??= startScreen());
      const folder = mkdtempSync(join(tmpdir(), "tabloom-"));
      // A browser under automation keeps its storage in memory, always.
      return onDisk ? launchOnDisk(folder, environment(folder, display)) : launchAutomated(folder, display);
    },
    async close() {
      (await screen)?.server.kill();
    },
  };
}

async function startScreen(): Promise<{ server: ChildProcess; display: string }> {
  const options = ["-displayfd", "3", "-screen", "0", "1280x800x24", "-nolisten", "tcp"];
  const server = spawn(XVFB, options, { stdio: ["ignore", "ignore", "ignore", "pipe"] });
  const display = await new Promise<string>((resolve, reject) => {
    server.once("error", reject);
    server.stdio[3]!.once("data", (number) => resolve(`:${String(number).trim()}`));
  });
  return { server, display };
}

function environment(folder: string, display: string): NodeJS.ProcessEnv {
  return {
    ...process.env,
    DISPLAY: display,
    HOME: folder,
    XDG_DATA_HOME: join(folder, "data"),
    XDG_CACHE_HOME: join(folder, "cache"),
    XDG_CONFIG_HOME: join(folder, "config"),
    // Its sandbox does not start for root.
    ...(process.getuid?.() === 0 ? { WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: "1" } : {}),
  };
}

async function launchAutomated(folder: string, display: string): Promise<Browser> {
  const port = await freePort();
  const server = spawn(WEBKIT_DRIVER, [`--port=${port}`], { env: environment(folder, display), stdio: "ignore" });
  const end = (): void => {
    kill([...descendantsOf(server.pid!).map(({ pid }) => pid), server.pid!]);
    rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
  };
  try {
    const address = `http://127.0.0.1:${port}`;
    await untilUp(address);
    const capabilities = new Capabilities({
      browserName: "MiniBrowser",
      "webkitgtk:browserOptions": { binary: MINI_BROWSER, args: ["--automation"] },
    });
    const driver = await new Builder().usingServer(address).withCapabilities(capabilities).build();
    const version = (await driver.getCapabilities()).get("browserVersion") as string;
    return new AutomatedWebKit(driver, `webkitgtk ${version}`, server.pid!, end);
  } catch (error) {
    end();
    throw error;
  }
}

/**
 * A session has one window in hand and runs one command at a time, so a command is: take the window, do one short thing.
 * What takes longer is started by one command and asked for by others. The first change of window after a crash ends the
 * session, whichever window it is: right before one, all other tabs are told to ask at desks for what to do from then on.
 */
class AutomatedWebKit implements Browser {
  readonly version: string;
  readonly #driver: WebDriver;
  readonly #pid: number;
  readonly #end: () => void;
  #last: Promise<unknown> = Promise.resolve();
  #runs = 0;
  /** The window that the browser started with; it stays, for a session without one ends. */
  #first: string | undefined;
  /** The open tabs; their desks, once one of them crashed. */
  readonly #tabs = new Map<string, Desk | undefined>();
  #crashed = false;

  constructor(driver: WebDriver, version: string, pid: number, end: () => void) {
    this.version = version;
    this.#driver = driver;
    this.#pid = pid;
    this.#end = end;
  }

  open(url: string): Promise<Tab> {
    return this.#inTurn(async () => {
      if (this.#first === undefined) this.#first = await this.#driver.getWindowHandle();
      else await this.#driver.switchTo().window(this.#first);
      await this.#driver.switchTo().newWindow("tab");
      const handle = await this.#driver.getWindowHandle();
      await this.#driver.get(url);
      this.#tabs.set(handle, undefined);
      return this.#tabOf(handle);
    });
  }

  endWorkers = cannot("end a worker from outside");
  restart = cannot("restart on the same profile under automation");

  async close(): Promise<void> {
    this.#end();
    for (const desk of this.#tabs.values()) desk?.close();
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(run);
    this.#last = turn.catch(() => {});
    return turn;
  }

  #inWindow<T>(handle: string, run: () => Promise<T>): Promise<T> {
    return this.#inTurn(async () => {
      if (this.#crashed) throw new Error("after a crash tabs can only run functions");
      await this.#driver.switchTo().window(handle);
      return run();
    });
  }

  #tabOf(handle: string): Tab {
    const driver = this.#driver;
    const inWindow = <T>(run: () => Promise<T>): Promise<T> => this.#inWindow(handle, run);
    const tab: Tab = {
      evaluate: (run, arg) => this.#evaluate(handle, sourceOf(run, arg)),
      reload: () => inWindow(() => driver.navigate().refresh()),
      goTo: (url) => inWindow(() => driver.get(url)),
      back: () => inWindow(() => driver.navigate().back()),
      close: () =>
        inWindow(async () => {
          this.#tabs.delete(handle);
          await driver.close();
          await driver.switchTo().window(this.#first!);
        }),
      crash: () => this.#crash(handle, tab),
      setFrozen: cannot("freeze a page"),
      screenshot: async (file) => writeFileSync(file, await inWindow(() => driver.takeScreenshot()), "base64"),
    };
    return tab;
  }

  async #crash(handle: string, tab: Tab): Promise<void> {
    const isContent = ({ command }: { command: string }): boolean => command.includes("WebKitWebProcess");
    const pid = await processOf(tab, isContent, this.#pid);
    this.#tabs.delete(handle);
    for (const other of this.#tabs.keys()) {
      const desk = await openDesk();
      await this.#inWindow(other, () => this.#driver.executeScript(`void obey(${JSON.stringify(desk.address)})`));
      this.#tabs.set(other, desk);
    }
    await this.#inTurn(async () => {
      this.#crashed = true;
      kill([pid]);
    });
  }

  async #evaluate<Result>(handle: string, source: string): Promise<Result> {
    const id = JSON.stringify(`run${++this.#runs}`);
    const start = `const run = (globalThis.runs ??= {})[${id}] = {};
      ${source}.then((text) => (run.text = text), (error) => (run.error = String(error?.stack ?? error)));
      return run`;
    const look = `const run = globalThis.runs?.[${id}];
      if (run?.text !== undefined || run?.error !== undefined) delete globalThis.runs[${id}];
      return run ?? { error: "the page that was asked is gone" }`;
    for (let script = start; ; script = look) {
      const run = await this.#ask<{ text?: string; error?: string }>(handle, script);
      if (run.error !== undefined) throw new Error(run.error);
      if (run.text !== undefined) return JSON.parse(run.text) as Result;
      await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
    }
  }

  /** Has the page run a short script. */
  async #ask<Result>(handle: string, script: string): Promise<Result> {
    if (!this.#tabs.has(handle)) throw new Error("the tab is gone");
    const desk = this.#tabs.get(handle);
    if (!desk) return this.#inWindow(handle, () => this.#driver.executeScript<Result>(script));
    return JSON.parse(await desk.order(`(async () => JSON.stringify((() => { ${script} })()))()`)) as Result;
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

async function untilUp(address: string): Promise<void> {
  for (const until = Date.now() + UP_WITHIN_MS; ;) {
    try {
      // Another process may have got the port meanwhile, and answer something else.
      const { value } = (await (await fetch(`${address}/status`)).json()) as { value: { ready: boolean } };
      if (!value.ready) throw new Error("not ready");
      return;
    } catch (error) {
      if (Date.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
