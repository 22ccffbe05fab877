import { commandTraits } from "../protocol/commands.js";
import { type Batch, Batches } from "./batches.js";
import { type Call, end, leftOf } from "./call.js";
import type { Client } from "./client.js";
import { failureOf, indeterminate, offline } from "./failures.js";
import type { Instance } from "./instance.js";
import type { Argument, PlainScript, Raw, Script } from "./script.js";
import type { Scripts } from "./scripts.js";

/** Between attempts while the server says that it cannot run scripts just now. */
const LATER_MS = 100;

/**
 * Calls on their way to the server, in the order in which they were made: those of one tick leave together, neighbours
 * of one script in one run of it; the next of an instance when these are answered, for they may not have run, while what
 * was sent behind them would. Between calls that may overtake each other (`Script.unordered`) none of that is needed.
 * What did not run is sent again; what may have run only if that does no harm.
 */
export class Calls {
  readonly #client: Client;
  readonly #scripts: Scripts;
  readonly #owner: string;
  #queue: Call[] = [];
  /** Have calls that are to be sent again, a little later or when the scripts are loaded. */
  readonly #unsettled = new Set<Instance>();
  #scheduled = false;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #offlineTimer: ReturnType<typeof setTimeout> | undefined;
  #lastFailure: Error | undefined;
  #closed: Error | undefined;

  constructor(client: Client, scripts: Scripts, owner: string) {
    this.#client = client;
    this.#scripts = scripts;
    this.#owner = owner;
  }

  /** Ordered after every call that was given before it. */
  add(call: Call): void {
    if (this.#closed) return call.reject(this.#closed);
    this.#queue.push(call);
    // What is answered makes room for it.
    if (call.instance.openness.takes(call.script)) this.#schedule();
  }

  /** The server answers, or an instance is open: what waited for it goes on. */
  resume(calls: readonly Call[] = []): void {
    this.#settle();
    if (calls.length > 0) this.#queue = [...this.#queue, ...calls].sort((a, b) => a.seq - b.seq);
    this.#schedule();
  }

  drop(call: Call): void {
    const at = this.#queue.indexOf(call);
    if (at >= 0) this.#queue.splice(at, 1);
  }

  /** The server refuses what every call needs. */
  refuse(error: Error): void {
    for (const call of this.#queue.splice(0)) call.instance.refuse(call, error);
  }

  close(error: Error): void {
    this.#closed = error;
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#offlineTimer);
    for (const call of this.#queue.splice(0)) end(call, error);
  }

  #schedule(): void {
    if (this.#scheduled || this.#queue.length === 0) return;
    if (!this.#client.ready) return this.#watchDeadlines();
    this.#scheduled = true;
    // After the microtasks that run now: what they call joins.
    process.nextTick(() => {
      this.#scheduled = false;
      if (this.#client.ready) this.#flush();
      else this.#schedule();
    });
  }

  #flush(): void {
    const batches = new Batches();
    const waiting = new Set(this.#unsettled);
    for (const call of this.#queue.splice(0)) {
      const { instance } = call;
      const loaded = this.#scripts.has(call.script.lua);
      if (!loaded) this.#retrySoon(0);
      if (!loaded || waiting.has(instance) || !instance.openness.takes(call.script)) {
        // And so does whatever comes behind it.
        waiting.add(instance);
        this.#queue.push(call);
        continue;
      }
      if (instance.holdsBack(call)) continue;
      if (call.waitUntil > 0 && leftOf(call) === 0) call.last = true;
      const script = scriptFor(call);
      const args = this.#argsOf(call, script);
      if (args === undefined) continue;
      if (!batches.add(call, script, args)) {
        waiting.add(instance);
        this.#queue.push(call);
        continue;
      }
      call.sent = true;
      call.woken = false;
    }
    this.#send(batches.all);
    if (batches.leftOver) setImmediate(() => this.#schedule());
  }

  /** undefined: what is asked for is refused, nothing is sent. */
  #argsOf(call: Call, script: Script | PlainScript): readonly Argument[] | undefined {
    try {
      return script.args(call.body, { owner: this.#owner, callId: call.id, waitMs: leftOf(call) });
    } catch (error) {
      call.instance.refuse(call, error as Error);
      return undefined;
    }
  }

  #send(batches: readonly Batch[]): void {
    const replies = this.#client.evalshaAll(
      batches.map(({ instance, script, args }) => {
        const { sha, parts } = this.#scripts.loaded(script.lua);
        return { sha, keys: instance.keys(parts), args };
      }),
    );
    batches.forEach((batch, i) => {
      batch.instance.openness.sent(batch.calls);
      replies[i]!.then(
        (raw) => this.#answered(batch, raw),
        (error: unknown) => this.#failed(batch.instance, batch.calls, error),
      );
    });
  }

  #answered({ instance, script, calls }: Batch, raw: Raw): void {
    this.#lastFailure = undefined;
    instance.openness.answered(calls);
    if (instance.openness.takes({ unordered: true })) this.#schedule();
    const replies = script.many ? (raw as Raw[]) : [raw];
    calls.forEach((call, i) => {
      call.sent = false;
      const reply = replies[i] as unknown;
      if (reply instanceof Error) this.#failedOne(call, reply);
      else instance.settle(call, reply as Raw);
    });
  }

  #failed(instance: Instance, calls: readonly Call[], error: unknown): void {
    instance.openness.answered(calls);
    if (instance.openness.takes({ unordered: true })) this.#schedule();
    for (const call of calls) {
      call.sent = false;
      this.#failedOne(call, error);
    }
  }

  #failedOne(call: Call, error: unknown): void {
    const { instance, script, body, op } = call;
    const failure = failureOf(error);
    if (failure.what === "refused") return instance.refuse(call, failure.error);
    if (failure.what === "unopened") return instance.reopen(call);
    if (failure.what === "else") {
      call.notPlain = true;
      return this.resume([call]);
    }
    if (failure.what === "unloaded") {
      this.#scripts.forget();
      return this.#again(call);
    }
    this.#lastFailure = failure.error;
    if (failure.what === "lost") {
      const once = commandTraits[op].resend === "once" && !script.repeatable?.(body);
      if (once) return instance.refuse(call, indeterminate(op, failure.error));
      call.mayHaveRun = true;
    }
    this.#again(call);
  }

  #again(call: Call): void {
    if (this.#closed) return end(call, this.#closed);
    if (call.abandoned && !call.options?.onLate) return;
    this.#queue.push(call);
    this.#queue.sort((a, b) => a.seq - b.seq);
    this.#unsettled.add(call.instance);
    this.#retrySoon(this.#scripts.ready ? LATER_MS : 0);
  }

  #retrySoon(ms: number): void {
    this.#retryTimer ??= setTimeout(() => {
      this.#retryTimer = undefined;
      this.#expire();
      const retry = (): void => {
        this.#settle();
        this.#schedule();
        if (this.#unsettled.size > 0 && !this.#closed) this.#retrySoon(LATER_MS);
      };
      this.#scripts.load().then(retry, retry);
    }, ms);
  }

  /** Whoever has no call under way may go on. */
  #settle(): void {
    for (const instance of this.#unsettled) if (!instance.openness.awaitsAnswers) this.#unsettled.delete(instance);
  }

  #watchDeadlines(): void {
    this.#offlineTimer ??= setTimeout(() => {
      this.#offlineTimer = undefined;
      this.#expire();
      if (this.#queue.length > 0) this.#schedule();
    }, LATER_MS);
  }

  /** Calls that do not wait, and that no server took in time. */
  #expire(): void {
    const now = performance.now();
    const overdue = this.#queue.filter((call) => call.deadlineAt <= now);
    if (overdue.length === 0) return;
    this.#queue = this.#queue.filter((call) => call.deadlineAt > now);
    const cause = this.#client.lastError ?? this.#lastFailure;
    for (const call of overdue) call.instance.refuse(call, unanswered(call, cause));
  }
}

/** It cannot wait any longer for the server. */
function unanswered({ op, mayHaveRun }: Call, cause: Error | undefined): Error {
  if (mayHaveRun && commandTraits[op].resend === "once") return indeterminate(op, cause);
  return offline(cause, mayHaveRun);
}

function scriptFor({ script, body, notPlain }: Call): Script | PlainScript {
  return !notPlain && script.plain?.suits(body) ? script.plain : script;
}
