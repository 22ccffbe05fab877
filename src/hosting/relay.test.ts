import { afterEach, describe, expect, test, vi } from "vitest";
import { TabloomError } from "../protocol/errors.js";
import type { HubFacade } from "../protocol/frames.js";
import { names } from "../protocol/names.js";
import { joinBroadcast } from "../transport/broadcast.js";
import { dialRelay, serveRelay } from "./relay.js";

const SPACE = "relay-test";
const MEGABYTE = 2 ** 20;

const closing: { close(): void }[] = [];
afterEach(() => {
  for (const end of closing.splice(0)) end.close();
});

function serve(hub: Partial<HubFacade>, address = "hub"): void {
  closing.push(serveRelay(SPACE, address, { call: async () => "", pull: async () => "", ...hub }));
}

function dial(address = "hub"): HubFacade {
  const link = dialRelay(SPACE, address);
  closing.push(link);
  return link;
}

describe("a relay", () => {
  test("carries texts both ways, to the method that was asked for", async () => {
    serve({ call: async (text) => `called ${text}`, pull: async (tab) => `pulled ${tab}` });
    const link = dial();
    expect(await Promise.all([link.call("a"), link.pull("b"), link.call("c")])).toEqual([
      "called a",
      "pulled b",
      "called c",
    ]);
  });

  test("keeps the order of what was asked", async () => {
    const seen: string[] = [];
    serve({ call: async (text) => String(seen.push(text)) });
    const link = dial();
    const asked = Array.from({ length: 200 }, (_, i) => (i % 50 === 0 ? `${i}`.padEnd(3 * MEGABYTE) : `${i}`));
    await Promise.all(asked.map((text) => link.call(text)));
    expect(seen.map(Number)).toEqual(asked.map(Number));
  });

  test("carries texts of many chunks whole, whatever is in them", async () => {
    serve({ call: async (text) => text });
    const text = `{"quoted":"\\n"}\n😀`.repeat(400_000);
    expect((await dial().call(text)) === text).toBe(true);
  });

  test("answers each of several senders with its own", async () => {
    serve({ call: async (text) => text.repeat(2) });
    const [a, b] = [dial(), dial()];
    const long = "b".repeat(2 * MEGABYTE);
    expect(await Promise.all([a.call("a"), b.call(long), a.call("aa")])).toEqual(["aa", long + long, "aaaa"]);
  });

  test("has at most four chunks under way that nobody confirmed", async () => {
    const arrived: string[] = [];
    const inbox = new BroadcastChannel(names.inbox(SPACE, "deaf"));
    inbox.onmessage = ({ data }: MessageEvent<{ data: string }>) => arrived.push(data.data);
    closing.push(inbox);
    void dial("deaf").call("x".repeat(10 * MEGABYTE));
    // A message that is posted later arrives later: all that was to come is there.
    const marker = new BroadcastChannel(names.inbox(SPACE, "deaf"));
    closing.push(marker);
    await new Promise((resolve) => setTimeout(resolve, 50));
    marker.postMessage({ data: "marker" });
    while (!arrived.includes("marker")) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(arrived.length - 1).toBe(4);
  });

  test("carries a long text whole while others come", async () => {
    serve({ call: async (text) => String(text.length) });
    const long = dial().call("x".repeat(12 * MEGABYTE));
    const others: string[] = [];
    for (let i = 0; i < 10; i++) others.push(await dial().call("y"));
    expect(await long).toBe(String(12 * MEGABYTE));
    expect(others).toEqual(Array.from({ length: 10 }, () => "1"));
  });

  test("tells a receiver that took nothing for long, and wakes, that answers were given up", async () => {
    serve({ call: async (text) => text });
    const got: string[] = [];
    const arrived = async (count: number): Promise<void> => {
      while (got.length < count) await new Promise((resolve) => setTimeout(resolve, 5));
    };
    // A frozen tab: what comes to it waits, and it confirms nothing.
    const inbox = joinBroadcast(names.inbox(SPACE, "frozen"), (chunk) => got.push(chunk));
    const hub = joinBroadcast(names.inbox(SPACE, "hub"));
    closing.push(inbox, hub);
    for (let ask = 1; ask <= 6; ask++) {
      const header = JSON.stringify({ from: "frozen", text: ask });
      hub.post(`${header}\n${JSON.stringify({ ask, method: "call", text: "x" })}`);
    }
    await arrived(6 + 4);
    const now = performance.now();
    vi.spyOn(performance, "now").mockImplementation(() => now + 31_000);
    // Somebody comes, and the hub looks who is gone.
    expect(await dial().call("y")).toBe("y");
    expect(got).toHaveLength(10);
    for (let confirmed = 0; confirmed < 4; confirmed++) hub.post(`${JSON.stringify({ from: "frozen" })}\n`);
    await arrived(11);
    expect(got.slice(10)).toEqual([expect.stringContaining('"lost":true')]);
    vi.restoreAllMocks();
    hub.post(
      `${JSON.stringify({ from: "frozen", text: 7 })}\n${JSON.stringify({ ask: 7, method: "call", text: "z" })}`,
    );
    await arrived(13);
    expect(got[12]).toContain('"answer":7');
  });

  test("rejects what was asked when its answers were given up", async () => {
    serve({ call: () => new Promise(() => {}) });
    const asked: string[] = [];
    const inbox = joinBroadcast(names.inbox(SPACE, "lossy"), (chunk) => {
      const { from, text } = JSON.parse(chunk.slice(0, chunk.indexOf("\n"))) as { from: string; text?: number };
      if (text !== undefined) asked.push(from);
    });
    closing.push(inbox);
    const call = dial("lossy").call("x");
    while (asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    const back = joinBroadcast(names.inbox(SPACE, asked[0]!));
    closing.push(back);
    back.post(`${JSON.stringify({ from: "lossy", lost: true })}\n`);
    await expect(call).rejects.toMatchObject({ code: "TIMEOUT" });
  });

  test("errors keep class, code and fields", async () => {
    serve({
      call: () => Promise.reject(new TabloomError("VERSION", "too old")),
    });
    await expect(dial().call("x")).rejects.toMatchObject({ name: "TabloomError", code: "VERSION", message: "too old" });
  });
});
