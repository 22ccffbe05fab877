import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { type Backend, connect, job, mutex, queue, scheduler } from "../../src/server.js";
import { type Server, startServer } from "../redis/server.js";
import { interruptedAfter, isOneLine, tabloom } from "./running.js";

let redis: Server;
let backend: Backend;
let at: string[];

beforeAll(async () => {
  redis = await startServer();
  at = ["--redis", redis.url, "--prefix", "shop"];
  backend = connect({ redis: redis.url, prefix: "shop" });
});
afterAll(async () => {
  await backend?.close();
  await redis?.stop();
});

const json = async (...args: string[]): Promise<unknown> => {
  const { code, out } = await tabloom("inspect", ...args, ...at, "--json");
  expect(code).toBe(0);
  return JSON.parse(out);
};

const schema = z.object({ to: z.string() });

/** A queue with dead letters of these messages. */
async function withDead(id: string, ...to: string[]) {
  const mail = queue({ id, schema, limits: { maxMessages: 77 } });
  for (const name of to) {
    await mail.send({ data: { to: name } });
    await (await mail.recv())!.nack({ deadLetter: true, reason: "no such address", error: "550" });
  }
  return mail;
}

describe("inspect", () => {
  test("lists instances with kind, id, tenant and figures", async () => {
    const mail = queue({ id: "mail", schema });
    await mail.send({ data: { to: "ada" } });
    await mail.send({ data: { to: "bob" }, tenantId: "acme" });
    const { code, out } = await tabloom("inspect", ...at);
    expect(code).toBe(0);
    expect(out).toMatch(/queue +mail +default +depth 1, ready 1/);
    expect(out).toMatch(/queue +mail +acme +depth 1, ready 1/);
    const all = (await json()) as { name: { kind: string; id: string; tenantId: string }; stats: unknown }[];
    const found = all.find(({ name }) => name.id === "mail" && name.tenantId === "acme");
    expect(found).toMatchObject({ name: { kind: "queue" }, stats: { depth: 1 } });
  });

  test("another prefix has nothing of it", async () => {
    const { out } = await tabloom("inspect", "--redis", redis.url, "--prefix", "other");
    expect(out).toBe("nothing below the prefix other\n");
  });

  test("shows what a queue holds, and takes nothing", async () => {
    const letters = queue({ id: "letters", schema });
    await letters.send({ data: { to: "ada\u001b[2J" } });
    await letters.send({ data: { to: "later" }, delayMs: 3_600_000 });
    const { out } = await tabloom("inspect", "queue", "letters", ...at);
    expect(out).toContain("depth 2, ready 1, delayed 1, leased 0");
    expect(out).toMatch(/ready .*"ada/);
    expect(out).toMatch(/delayed .*until 2.*"later"/);
    expect(out).not.toContain("\u001b");
    const { held } = (await json("queue", "letters", "--limit", "1")) as { held: unknown[] };
    expect(held).toHaveLength(1);
    expect(await letters.stats()).toMatchObject({ depth: 2, leased: 0 });
  });

  test("leaves the settings of an instance as they are", async () => {
    await withDead("kept", "ada");
    await tabloom("inspect", "dead", "kept", "--redrive", "all", ...at);
    const all = (await json()) as { name: { id: string }; config: { maxMessages?: number } }[];
    expect(all.find(({ name }) => name.id === "kept")!.config.maxMessages).toBe(77);
  });

  test("shows dead letters, puts one back, removes one, puts back all", async () => {
    const bounced = await withDead("bounced", "ada", "bob", "eve");
    const { out } = await tabloom("inspect", "dead", "bounced", ...at);
    expect(out.trim().split("\n")).toHaveLength(3);
    expect(out).toMatch(/1 attempt +no such address: 550 +\{"to":"ada"\}/);
    const [first, second] = (await json("dead", "bounced")) as { messageId: string }[];

    const back = await tabloom("inspect", "dead", "bounced", "--redrive", first!.messageId, ...at);
    expect(back.out).toBe("1 message put back into queue bounced\n");
    expect(await bounced.stats()).toMatchObject({ dead: 2, ready: 1 });
    expect(await json("dead", "bounced", "--remove", second!.messageId)).toEqual({ removed: second!.messageId });
    expect(await json("dead", "bounced", "--redrive", "all")).toEqual({ redriven: 1 });
    expect(await bounced.stats()).toMatchObject({ dead: 0, ready: 2 });
    expect((await tabloom("inspect", "dead", "bounced", ...at)).out).toBe("queue bounced has no dead letters\n");
  });

  test("schedules with their next run", async () => {
    const reports = job({ id: "reports", schema, process: async () => null, worker: false });
    const nightly = scheduler({ id: "nightly" });
    await nightly.register({
      id: "report",
      cron: "0 3 * * *",
      tz: "Europe/Berlin",
      job: reports,
      input: { to: "ada" },
    });
    await nightly.pause({ id: "report" });
    const { out } = await tabloom("inspect", "schedules", ...at);
    expect(out).toMatch(/nightly +report +0 3 \* \* \* Europe\/Berlin +job reports +paused +never ran/);
    expect(await json("schedules")).toMatchObject([{ scheduler: "nightly", id: "report", paused: true }]);
  });

  test("locks with their holders", async () => {
    const doors = mutex({ id: "doors" });
    const lock = (await doors.acquire("front", { ttl: 60_000 }))!;
    const { out } = await tabloom("inspect", "locks", ...at);
    expect(out).toMatch(
      new RegExp(`doors +front +exclusive +token ${lock.token} +by ${backend.status.tabId} +until 2`),
    );
    expect(await json("locks")).toMatchObject([{ mutex: "doors", resource: "front", token: lock.token }]);
    await doors.release(lock);
  });

  test("follows commands and events until it is interrupted", async () => {
    const busy = queue({ id: "busy", schema });
    const traffic = setInterval(() => void busy.send({ data: { to: "ada" } }), 20);
    try {
      const text = await interruptedAfter((out) => /queue\.send/.test(out), "inspect", "--follow", ...at);
      expect(text.code).toBe(0);
      expect(text.out).toMatch(/ {2}queue busy {2}queue\.send ok {2}\{.*by /);
      const lines = await interruptedAfter((out) => /queue\.send/.test(out), "inspect", "--follow", "--json", ...at);
      expect(
        lines.out
          .trim()
          .split("\n")
          .map((line) => (JSON.parse(line) as { type: string }).type),
      ).toContain("command");
    } finally {
      clearInterval(traffic);
    }
  });

  describe("trouble is one line that says what to do", () => {
    test.each([
      [["inspect", "queue", "nothing"], /no queue "nothing", tenant default, below the prefix shop; there are /],
      [
        ["inspect", "dead", "mail", "--redrive", "01ABC"],
        /has no dead letter 01ABC: tabloom inspect dead mail lists them/,
      ],
      [["inspect", "dead", "mail", "--remove", "01ABC"], /has no dead letter 01ABC/],
      [["inspect", "--prefix", "a{b"], /prefix must be 1–256 characters without braces/],
    ])("%j", async (args, message) => {
      const { code, out, err } = await tabloom(
        ...args,
        ...at.filter((word) => !args.includes("--prefix") || (word !== "shop" && word !== "--prefix")),
      );
      expect({ code, out }).toEqual({ code: 1, out: "" });
      expect(err).toSatisfy(isOneLine);
      expect(err).toMatch(message);
    });

    test.each([
      [["inspect", "nonsense"]],
      [["inspect", "queue"]],
      [["inspect", "queue", "mail", "--limit", "many"]],
      [["dream"]],
    ])("a command line that is none: %j", async (args) => {
      const { code, out, err } = await tabloom(...args);
      expect({ code, out }).toEqual({ code: 2, out: "" });
      expect(err).toMatch(/^error: [^\n]+\n$/);
    });
  });

  test("help says where the server is looked for", async () => {
    const { code, out } = await tabloom("inspect", "--help");
    expect(code).toBe(0);
    expect(out.replaceAll(/\s+/g, " ")).toContain("default: REDIS_URL, else redis://127.0.0.1:6379");
  });
});
