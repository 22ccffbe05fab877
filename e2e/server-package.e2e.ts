import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Server, startServer } from "../test/redis/server.js";
import { type Consumers, installConsumers } from "./support/consumers.js";

const execute = promisify(execFile);

let redis: Server;
let consumers: Consumers;

beforeAll(async () => {
  redis = await startServer({ aof: "everysec" });
  consumers = await installConsumers(["node", "bare"]);
}, 300_000);
afterAll(async () => {
  await redis?.stop();
  consumers?.close();
});

interface Ran {
  code: number;
  out: string;
  err: string;
}

/** Ends when the process does: one that is kept from ending by something left open fails the test. */
async function run(app: string, command: string, ...args: string[]): Promise<Ran> {
  const env = { ...process.env, REDIS_URL: redis.url };
  try {
    const { stdout, stderr } = await execute(command, args, { cwd: consumers.folder(app), env, timeout: 30_000 });
    return { code: 0, out: stdout, err: stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, out: stdout, err: stderr };
  }
}

const TABLOOM = "node_modules/.bin/tabloom";

describe("the packed package in an app for Node", () => {
  test("its types are found, and it runs against a server and ends by itself", async () => {
    expect(await run("node", "npx", "tsc")).toEqual({ code: 0, out: "", err: expect.any(String) });
    const { code, out, err } = await run("node", process.execPath, "dist/main.js");
    expect(err).toBe("");
    expect(out.trim().split("\n")).toEqual([
      "received from Node true",
      "refused VALIDATION",
      "instances letters",
      "mode redis aof-everysec",
      "the client is still open: PONG",
    ]);
    expect(code).toBe(0);
  });

  test("it can be required", async () => {
    const { out } = await run("node", process.execPath, "--no-warnings", "dist/old.cjs");
    expect(out).toBe("received 42 true\n");
  });

  test("it brings the command tabloom", async () => {
    const doctor = await run("node", TABLOOM, "doctor");
    expect(doctor).toMatchObject({ code: 0, err: "" });
    expect(doctor.out).toContain("0 wrong, 0 at risk");
    const inspect = await run("node", TABLOOM, "inspect", "--prefix", "consumer", "--json");
    const ids = (JSON.parse(inspect.out) as { name: { id: string } }[]).map(({ name }) => name.id);
    expect(ids).toEqual(["lengths", "letters"]);
  });
});

describe("the packed package without ioredis", () => {
  test("can be imported, and says at the first call what is missing", async () => {
    const { out } = await run("bare", process.execPath, "main.mjs");
    expect(out).toBe("imported\nUNAVAILABLE tabloom/server needs the package ioredis: npm install ioredis\n");
  });

  test("so does the command, in one line", async () => {
    const { code, out, err } = await run("bare", TABLOOM, "doctor");
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toBe("tabloom: tabloom/server needs the package ioredis: npm install ioredis\n");
  });
});
