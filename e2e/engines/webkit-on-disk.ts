/**
 * WebKitGTK with a profile on disk. Its browser keeps nothing under automation, so this one runs without: its pages come
 * to a server of this process and ask what to do (e2e/pages/engines.js, `obey`). They can run functions, no more.
 */
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type Browser, type PageFunction, type Tab, cannot, sourceOf } from "./driver.js";
import { descendantsOf, kill } from "./processes.js";
import { MINI_BROWSER } from "./webkit.js";

interface Order {
  source: string;
  settle(result: { text: string } | { error: string }): void;
}

export async function launchOnDisk(folder: string, env: NodeJS.ProcessEnv): Promise<Browser> {
  const desk = await openDesk();
  const pids: number[] = [];
  const end = (): void => {
    kill(pids.flatMap((pid) => [...descendantsOf(pid).map((child) => child.pid), pid]));
    desk.close();
  };
  return {
    version: "webkitgtk without automation",
    async open(url) {
      const address = new URL(url);
      address.searchParams.set("obey", desk.address);
      // A second tab would need a second address from the start; one tab is all that a restart needs.
      if (pids.length > 0) throw new Error("a browser without automation has one tab");
      pids.push(spawn(MINI_BROWSER, [address.href], { env, stdio: "ignore" }).pid!);
      const tab = tabOf(desk.order);
      await tab.evaluate(() => true);
      return tab;
    },
    endWorkers: cannot("end a worker from outside"),
    async restart() {
      end();
      return launchOnDisk(folder, env);
    },
    async close() {
      end();
      rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
    },
  };
}

function tabOf(order: (source: string) => Promise<string>): Tab {
  return {
    async evaluate<Result, Arg>(run: PageFunction<Arg, Result>, arg?: Arg) {
      return JSON.parse(await order(sourceOf(run, arg))) as Result;
    },
    reload: cannot("reload without automation"),
    goTo: cannot("navigate without automation"),
    back: cannot("navigate without automation"),
    close: () => Promise.resolve(),
    crash: cannot("crash a tab without automation"),
    setFrozen: cannot("freeze a page"),
    screenshot: () => Promise.resolve(),
  };
}

/** Where one page asks what to do. */
export interface Desk {
  readonly address: string;
  /** Has the page run an expression that resolves with a text. */
  order(source: string): Promise<string>;
  close(): void;
}

/** Hands orders to the page that asks for them, and takes what came of them. */
export async function openDesk(): Promise<Desk> {
  const orders: (Order & { id: number })[] = [];
  const given = new Map<number, Order>();
  let waiting: ServerResponse | undefined;
  let ids = 0;
  const hand = (): void => {
    if (waiting === undefined || orders.length === 0) return;
    const order = orders.shift()!;
    given.set(order.id, order);
    waiting.end(JSON.stringify({ id: order.id, source: order.source }));
    waiting = undefined;
  };
  const server = createServer((request, response) => {
    response.setHeader("access-control-allow-origin", "*");
    if (request.method === "GET") {
      waiting = response;
      hand();
      return;
    }
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const { id, ...result } = JSON.parse(Buffer.concat(parts).toString()) as { id: number } & { text: string };
      given.get(id)?.settle(result);
      given.delete(id);
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    order: (source) =>
      new Promise((resolve, reject) => {
        const settle: Order["settle"] = (result) =>
          "text" in result ? resolve(result.text) : reject(new Error(result.error));
        orders.push({ id: ++ids, source, settle });
        hand();
      }),
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
