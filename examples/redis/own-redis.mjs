/** A redis-server on a free port, in a folder that goes with it. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const BINARY = process.env.REDIS_SERVER ?? "redis-server";

export async function startRedis() {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), "tabloom-shop-"));
  const settings = ["--port", port, "--bind", "127.0.0.1", "--dir", folder, "--appendonly", "yes", "--save", ""];
  // Its own group: Ctrl-C is for us, and the server ends last.
  const server = spawn(BINARY, settings.map(String), { stdio: "ignore", detached: true });
  const gone = new Promise((resolve) => server.once("exit", resolve));
  const missing = new Promise((_, reject) => server.once("error", reject));
  const stop = async () => {
    server.kill();
    await gone;
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await Promise.race([answering(port), missing]);
  } catch {
    rmSync(folder, { recursive: true, force: true });
    console.error(
      `${BINARY} does not start: install it (Debian, Ubuntu: apt-get install redis-server; macOS: brew install redis), or set REDIS_URL to a server.`,
    );
    process.exit(1);
  }
  process.once("exit", () => server.kill());
  return { url: `redis://127.0.0.1:${port}`, stop };
}

async function answering(port) {
  for (let tries = 0; tries < 100; tries++) {
    const socket = connect(port, "127.0.0.1");
    const open = await new Promise((resolve) => {
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    });
    socket.destroy();
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("no answer");
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
