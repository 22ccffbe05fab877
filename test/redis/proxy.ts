/** What lies between a process and its server, and fails: a TCP proxy that a test cuts, silences or slows. */
import { type Server as Listener, type Socket, connect, createServer } from "node:net";

export interface Proxy {
  readonly url: string;
  readonly port: number;
  /** Every connection ends, and new ones are refused, as when the server is gone. */
  cut(): Promise<void>;
  /** Connections that there are pass nothing any more, and nobody is told. New ones work. */
  silence(): void;
  /** From now on what the server says comes so much later. */
  slow(ms: number): void;
  /** What holds this text reaches the server; its reply is lost, and the connection with it. Once. */
  loseReplyTo(text: string): void;
  /** Of the next commands that come together, the last and what follows come when that is asked for; the others have. */
  holdLast(): Promise<() => void>;
  /** New connections are refused; those that there are go on. */
  stopListening(): void;
  /** New connections work again. */
  restore(): Promise<void>;
  stop(): Promise<void>;
}

interface Link {
  readonly client: Socket;
  readonly server: Socket;
  silent: boolean;
  /** What does not go on yet. */
  held: Buffer[] | undefined;
  /** The next reply is the one to lose. */
  losing: boolean;
  /** What the server said so far has been passed on. */
  passed: Promise<void>;
}

export async function startProxy(target: number): Promise<Proxy> {
  const links = new Set<Link>();
  let listener: Listener | undefined;
  let port = 0;
  let lost: string | undefined;
  let holding: ((pass: () => void) => void) | undefined;
  let delayMs = 0;

  const end = (link: Link): void => {
    links.delete(link);
    link.client.destroy();
    link.server.destroy();
  };
  const accept = (client: Socket): void => {
    const server = connect(target, "127.0.0.1");
    const link: Link = { client, server, silent: false, held: undefined, losing: false, passed: Promise.resolve() };
    links.add(link);
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on("error", () => end(link));
      socket.on("close", () => end(link));
    }
    client.on("data", (chunk) => {
      if (link.silent) return;
      if (lost !== undefined && chunk.includes(lost)) {
        lost = undefined;
        link.losing = true;
      }
      const lastAt = chunk.lastIndexOf("\r\n*") + 2;
      if (link.held) link.held.push(chunk);
      else if (!holding || lastAt < 2) server.write(chunk);
      else {
        server.write(chunk.subarray(0, lastAt));
        link.held = [chunk.subarray(lastAt)];
        holding(() => {
          for (const held of link.held!.splice(0)) server.write(held);
          link.held = undefined;
        });
        holding = undefined;
      }
    });
    server.on("data", (chunk) => {
      if (link.losing) return end(link);
      const passAt = performance.now() + delayMs;
      // Behind what came before it, also when that was slower.
      link.passed = link.passed.then(async () => {
        const left = passAt - performance.now();
        if (left > 0) await new Promise((resolve) => setTimeout(resolve, left));
        if (!link.silent && !client.destroyed) client.write(chunk);
      });
    });
  };
  const listen = async (): Promise<void> => {
    if (listener) return;
    const created = createServer(accept);
    await new Promise<void>((resolve, reject) => {
      created.once("error", reject);
      created.listen(port, "127.0.0.1", resolve);
    });
    listener = created;
    port = (created.address() as { port: number }).port;
  };
  /** Resolves when the connections that there are have ended, too. */
  const close = (): Promise<unknown> | undefined => {
    const closing = listener;
    listener = undefined;
    return closing && new Promise((resolve) => closing.close(resolve));
  };
  const cut = async (): Promise<void> => {
    const closed = close();
    for (const link of links) end(link);
    await closed;
  };

  await listen();
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    cut,
    stopListening: () => void close(),
    silence() {
      for (const link of links) link.silent = true;
    },
    slow(ms) {
      delayMs = ms;
    },
    loseReplyTo(text) {
      lost = text;
    },
    holdLast: () =>
      new Promise((resolve) => {
        holding = resolve;
      }),
    restore: listen,
    stop: cut,
  };
}
