/** Frames that reach a hub through another, or through the channel, one case each (docs/decisions/0010, invariant 2). */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { CallFrame, ReplyFrame, Welcome, WireCall } from "../../src/protocol/frames.js";
import { PROTOCOL } from "../../src/protocol/names.js";
import { Hub } from "../../src/worker/hub.js";
import { queueNamed } from "./engine-driver.js";

const TAB = "a/1";
const open: WireCall = [1, 0, "instance.open", queueNamed("q", {})];
const statsOf = (seq: number): WireCall => [seq, 0, "queue.stats", {}];
const claim: WireCall = [2, 0, "queue.claim", { deliveryId: "d", max: 1, waitMs: 1000 }];
const send: WireCall = [3, 0, "queue.send", { messageId: "m", data: "1", bytes: 1 }];

let hub: Hub;
let load: () => void;

beforeEach(() => {
  // A hub that loads asks which tabs live: the answer is when it goes on.
  const held = new Promise((resolve) => (load = () => resolve({ held: [] })));
  vi.stubGlobal("navigator", { locks: { request: () => new Promise(() => {}), query: () => held } });
  const owned = { stolen: new Promise<never>(() => {}) };
  const takes = [Promise.resolve(owned), new Promise<never>(() => {})];
  const claimed = { take: () => takes.shift()!, letGo() {}, ask() {}, heard() {}, asked() {} };
  hub = new Hub({ space: "test", alone: true, claim: claimed });
});
afterEach(() => {
  hub.close();
  vi.unstubAllGlobals();
});

async function hello(): Promise<Welcome> {
  const frame = JSON.stringify({ kind: "hello", tab: TAB, protocol: PROTOCOL, version: "0" });
  return JSON.parse(await vi.waitFor(() => hub.call(frame, true))) as Welcome;
}

async function ask(epoch: string, ...calls: WireCall[]): Promise<ReplyFrame> {
  const frame: CallFrame = { kind: "calls", tab: TAB, epoch, below: 1, calls };
  return JSON.parse(await hub.call(JSON.stringify(frame), true)) as ReplyFrame;
}

async function pull(epoch: string): Promise<ReplyFrame> {
  return JSON.parse(await hub.pull(`${TAB} ${epoch}`, true)) as ReplyFrame;
}

test("wait in order while the hub loads: none is let in when one before it was not", async () => {
  const { epoch, state } = await hello();
  expect(state).toBe("loading");
  const answers = [ask(epoch, open), ask(epoch, statsOf(2))];
  load();
  const [first, second] = await Promise.all(answers);
  expect(first).toMatchObject({ epoch, replies: [[1, { durability: "memory" }]] });
  expect(second).toMatchObject({ epoch, replies: [[2, { depth: 0 }]] });
});

test("are refused when the hub ends before it has loaded", async () => {
  const { epoch } = await hello();
  const [calls, pulled] = [ask(epoch, open), pull(epoch)];
  hub.close();
  expect([await calls, await pulled]).toMatchObject([{ reset: true }, { reset: true }]);
});

test("a pull of an earlier epoch takes nothing from the present one", async () => {
  load();
  const { epoch } = await hello();
  await ask(epoch, open);
  const late = pull(epoch);
  expect(await pull("another")).toMatchObject({ reset: true });
  // The claim is answered later than its frame.
  await ask(epoch, claim, statsOf(4));
  await ask(epoch, send);
  expect((await late).replies).toMatchObject([[2, [{ messageId: "m" }]]]);
});
