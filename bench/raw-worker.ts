/** The other side of comparisons: a SharedWorker with nothing of tabloom in it. */
import { expose } from "comlink";
import { payload } from "./payload.js";

/** Names of the ports, in `name` of the first message. */
export type RawPort = "ping" | "comlink" | "commits";

const received: unknown[] = [];

addEventListener("connect", (event) => {
  const [port] = (event as MessageEvent).ports;
  port!.onmessage = ({ data }: MessageEvent<RawPort>) => serve(data, port!);
});

function serve(name: RawPort, port: MessagePort): void {
  if (name === "ping") port.onmessage = ({ data }) => port.postMessage(data);
  if (name === "commits") port.onmessage = async ({ data }) => port.postMessage(await timeCommits(data));
  if (name === "comlink") expose(send, port);
  port.postMessage("ready");
}

/** What a send does at least: check the message, keep it. */
function send(message: unknown): number {
  const kept = received.push(payload.parse(message));
  if (kept === 100_000) received.length = 0;
  return kept;
}

/** Milliseconds of each of `count` transactions that add one record of `bytes`, one after the other. */
async function timeCommits({ count, bytes }: { count: number; bytes: number }): Promise<number[]> {
  const database = await openDatabase();
  const text = "x".repeat(bytes);
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    await commit(database, text);
    times.push(performance.now() - start);
  }
  database.close();
  return times;
}

function openDatabase(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("raw-commits", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("records", { autoIncrement: true });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error as Error);
  });
}

function commit(database: IDBDatabase, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction("records", "readwrite", { durability: "relaxed" });
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error as Error);
    transaction.objectStore("records").add(text);
  });
}
