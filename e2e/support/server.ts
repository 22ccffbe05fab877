import { createReadStream, existsSync, statSync } from "node:fs";
import { type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";

const TYPES: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".json": "application/json",
  ".map": "application/json",
  ".css": "text/css",
};

export interface SiteOptions {
  /** Folder that is served; default: the repository. */
  root?: string;
  /** Default: one that is free. */
  port?: number;
}

export interface Site {
  readonly origin: string;
  close(): Promise<void>;
}

/**
 * Serves a folder on localhost: a secure context, as the browser requires for workers and locks. A file can be asked for
 * under a security policy (`?policy=…`), or late (`?delayMs=…`).
 */
export async function serve({ root = process.cwd(), port: wanted = 0 }: SiteOptions = {}): Promise<Site> {
  const server = createServer((request, response) => {
    const { pathname, searchParams: asked } = new URL(request.url ?? "/", "http://localhost");
    const file = join(root, normalize(decodeURIComponent(pathname)));
    if (!file.startsWith(root) || !existsSync(file) || !statSync(file).isFile()) {
      response.writeHead(404).end();
      return;
    }
    const policy = asked.get("policy");
    response.writeHead(200, {
      "content-type": TYPES[extname(file)] ?? "application/octet-stream",
      "cache-control": "no-store",
      // For frames of an opaque origin.
      "access-control-allow-origin": "*",
      ...(policy ? { "content-security-policy": policy } : {}),
    });
    setTimeout(() => createReadStream(file).pipe(response), Number(asked.get("delayMs") ?? 0));
  });
  await new Promise<void>((resolve) => server.listen(wanted, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { origin: `http://localhost:${port}`, close: () => closeServer(server) };
}

function closeServer(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}
