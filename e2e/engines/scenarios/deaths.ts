import { expect } from "vitest";
import type { Tab } from "../driver.js";
import { LONG_MS, type Scenario, upTo } from "../scenario.js";
import { type Stage, until } from "../stage.js";

/** Longer than it takes the tabs to give a hub up. */
const HANG_MS = 12_000;

const crashed = ["it had started the worker", "it had not"] as const;

export const deaths: readonly Scenario[] = [
  ...crashed.map(crashOfHolder),
  {
    fault: "a tab that holds a lock crashes",
    checks: "the next in line gets it, with a higher token; the line keeps its order",
    spoils: true,
    async run({ openTab }) {
      const [witness, doomed, third] = [await openTab(), await openTab(), await openTab()];
      const token = await doomed.evaluate(async () => (await m.acquire("r"))!.token);
      const first = witness.evaluate(async () => {
        given = (await m.acquire("r", { waitMs: 60_000 }))!;
        return given.token;
      });
      await until(witness, async () => (await m.stats()).waiters === 1);
      const second = third.evaluate(async () => (await m.acquire("r", { waitMs: 60_000 }))!.token);
      await until(witness, async () => (await m.stats()).waiters === 2);
      await doomed.crash();
      const next = await first;
      expect(next).toBeGreaterThan(token);
      await witness.evaluate(() => m.release(given));
      expect(await second).toBeGreaterThan(next);
    },
  },
  {
    fault: "a tab that waits crashes",
    checks: "what comes goes to the living: a message, a lock",
    spoils: true,
    async run({ openTab }) {
      const [witness, doomed] = [await openTab(), await openTab()];
      await witness.evaluate(async () => void (given = (await m.acquire("r"))!));
      doomed.evaluate(() => q.recv({ timeoutMs: 60_000 })).catch(() => {});
      doomed.evaluate(() => m.acquire("r", { waitMs: 60_000 })).catch(() => {});
      await until(witness, async () => (await q.stats()).waiters === 1 && (await m.stats()).waiters === 1);
      await doomed.crash();
      await until(witness, async () => (await q.stats()).waiters === 0 && (await m.stats()).waiters === 0);
      const got = await witness.evaluate(async () => {
        await q.send({ data: { i: 7 } });
        await m.release(given);
        const message = await q.recv({ timeoutMs: 20_000 });
        return [message?.data.i, message?.attempt, (await m.acquire("r", { waitMs: 20_000 })) !== null];
      });
      expect(got).toEqual([7, 1, true]);
    },
  },
  {
    fault: "the hub ends under load, three times",
    checks: "every call finishes, none acknowledged is lost or doubled, first in first out; a lock is kept",
    async run(stage) {
      const [sender, receiver] = [await stage.openTab({ steered: {} }), await stage.openTab({ steered: {} })];
      const token = await receiver.evaluate(async () => (given = (await m.acquire("r"))!).token);
      await sender.evaluate(() => keepSending({ ahead: 50 }));
      await receiver.evaluate(() => keepReceiving());
      for (let round = 1; round <= 3; round++) {
        await until(sender, (count) => accepted.length >= count, round * 40);
        await stage.endHub(sender);
        await until(sender, (count) => accepted.length >= count, round * 40 + 20);
      }
      await allArrive(sender, receiver);
      expect(await receiver.evaluate(() => m.extend(given))).toBe(true);
      await receiver.evaluate(() => m.release(given));
      expect(await sender.evaluate(async () => (await m.acquire("r"))!.token)).toBeGreaterThan(token);
    },
  },
  {
    fault: "the hub ends with 300 calls under way",
    checks: "each has one effect, with and without a key of its own, in their order",
    async run(stage) {
      const a = await stage.openTab({ steered: {} });
      const sending = a.evaluate(async () => {
        const sends = Array.from({ length: 300 }, (_, i) =>
          q.send({ data: { i }, ...(i % 10 === 0 ? { idempotencyKey: `key ${i}` } : {}) }),
        );
        return (await Promise.all(sends)).filter(({ duplicate }) => duplicate).length;
      });
      await stage.endHub(a);
      expect(await sending).toBe(0);
      expect(await a.evaluate(() => takeAll())).toEqual(upTo(300));
    },
  },
  {
    fault: "the hub ends between a commit and its reply",
    checks: "the call is asked again and has one effect",
    simulated: () => "the worker ends in the commit's own event",
    async run(stage) {
      const a = await stage.openTab({ steered: {} });
      await dieAt(stage, a, "dieAfterCommits");
    },
  },
  {
    fault: "the hub ends in the middle of a turn",
    checks: "the call is asked again and has one effect",
    simulated: () => "the worker ends while its transaction is open",
    async run(stage) {
      const a = await stage.openTab({ steered: {} });
      await dieAt(stage, a, "dieInCommits");
    },
  },
  {
    fault: "another worker behind the same port",
    checks: "the tab sees another epoch, asks again what had no answer, and nothing is lost or doubled",
    modes: ["shared-worker"],
    simulated: () =>
      "no engine does it on demand: the port leads through the page, which puts another worker behind it",
    async run({ openPage, enter, space }) {
      const a = await openPage();
      await a.evaluate(() => {
        const Real = SharedWorker;
        const swaps: (() => void)[] = [];
        globalThis.SharedWorker = class extends EventTarget {
          port: MessagePort;
          constructor(url: string | URL, { name }: { name: string }) {
            super();
            const { port1, port2 } = new MessageChannel();
            let hub: MessagePort | undefined;
            let generation = 100 * (swaps.length + 1);
            const put = (): void => {
              const next = new Real(url, { type: "module", name: name.replace(/\.g\d+$/, `.g${generation++}`) });
              next.port.onmessage = ({ data }) => port2.postMessage(data);
              hub = next.port;
            };
            put();
            port2.onmessage = ({ data }) => hub!.postMessage(data);
            swaps.push(put);
            this.port = port1;
          }
        } as unknown as typeof SharedWorker;
        globalThis.swapWorkers = () => {
          for (const swap of swaps) swap();
        };
      });
      await enter(a, { steered: {} });
      const before = await a.evaluate(async () => {
        await sendAll(20, { inFlight: 1 });
        return backend.status.epoch;
      });
      const sending = a.evaluate(() => sendAll(100, { from: 20, inFlight: 100 }).then((ids) => new Set(ids).size));
      await a.evaluate(async (name) => {
        await disturb(name, { close: true });
        swapWorkers();
      }, space);
      expect(await sending).toBe(100);
      expect(await a.evaluate(() => takeAll())).toEqual(upTo(120));
      expect(await a.evaluate(() => backend.status.epoch)).not.toBe(before);
    },
  },
  {
    fault: "the hub hangs, is replaced, and wakes",
    checks: "calls finish at the next hub; what the first does when it wakes changes nothing",
    spoils: true,
    async run(stage) {
      const a = await stage.openTab({ steered: {} });
      await a.evaluate(() => sendAll(3, { inFlight: 1 }));
      await stage.steer(a, { hangMs: HANG_MS });
      const woken = new Promise((resolve) => setTimeout(resolve, HANG_MS + 500));
      // Now in the inbox of the hub that hangs: it will run it when it wakes.
      const sent = a.evaluate(async () => {
        const sending = q.send({ data: { i: 3 } });
        document.dispatchEvent(new Event("visibilitychange"));
        await sending;
        return backend.status.epoch;
      });
      const b = await stage.openTab(stage.mode === "shared-worker" ? { generation: 2 } : {});
      await b.evaluate(() => sendAll(2, { from: 10, inFlight: 1 }));
      await sent;
      // Until the first hub has had its say: it answers nobody, so only time tells.
      await woken;
      await a.evaluate(() => q.send({ data: { i: 4 } }));
      const found = await b.evaluate(() => takeAll());
      expect(found.filter((i) => i < 10)).toEqual(upTo(5));
      expect(found.filter((i) => i >= 10)).toEqual([10, 11]);
    },
  },
];

function crashOfHolder(which: (typeof crashed)[number]): Scenario {
  return {
    fault: `a tab that holds messages crashes; ${which}`,
    checks: "delivered again at once, in order; the other tab's own lease holds",
    spoils: true,
    async run({ openTab }) {
      const first = await openTab();
      const second = await openTab();
      const [doomed, witness] = which === crashed[0] ? [first, second] : [second, first];
      await witness.evaluate(() => sendAll(3, { inFlight: 1 }));
      await doomed.evaluate(async (leaseMs) => void (await q.recvMany({ max: 2, leaseMs })), LONG_MS);
      await witness.evaluate(async (leaseMs) => {
        globalThis.kept = (await q.recv({ leaseMs }))!;
      }, LONG_MS);
      await doomed.crash();
      const again = await witness.evaluate(async () => {
        const messages = [await q.recv({ timeoutMs: 20_000 }), await q.recv({ timeoutMs: 20_000 })];
        return messages.map((message) => [message?.data.i, message?.attempt]);
      });
      expect(again).toEqual([
        [0, 2],
        [1, 2],
      ]);
      expect(await witness.evaluate(() => kept.ack())).toBe(true);
    },
  };
}

/** Whatever the sender was told is accepted arrives once, in the order in which it was sent. */
async function allArrive(sender: Tab, receiver: Tab): Promise<void> {
  const sent = await sender.evaluate(() => endSending());
  await until(sender, async () => (await q.stats()).depth === 0);
  const got = await receiver.evaluate(() => endReceiving());
  expect(sent).toEqual(upTo(sent.length));
  // Handed out a second time by the next hub, perhaps, but settled once.
  expect(got.filter(({ acked }) => acked).map(({ i }) => i)).toEqual(sent);
}

async function dieAt(stage: Stage, a: Tab, fault: "dieAfterCommits" | "dieInCommits"): Promise<void> {
  const epochs = [await a.evaluate(() => backend.status.epoch)];
  for (let round = 0; round < 3; round++) {
    await stage.steer(a, { faults: { [fault]: round + 1 } });
    await a.evaluate((from) => sendAll(10, { from, inFlight: 2 }), round * 10);
    epochs.push(await a.evaluate(() => backend.status.epoch));
  }
  expect(new Set(epochs).size, "the hub did end each time").toBe(4);
  const taken = await a.evaluate(() => takeAll());
  expect(taken.sort((x, y) => x - y)).toEqual(upTo(30));
}

declare global {
  var kept: { ack(): Promise<boolean> };
  function swapWorkers(): void;
}
