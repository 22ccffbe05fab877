import type { Body, CommandName, Kind, Reply } from "../protocol/commands.js";
import { type TabloomError, closedError } from "../protocol/errors.js";
import { type CallFrame, type HubStatus, type ReplyFrame, SPACE_REF, type Welcome } from "../protocol/frames.js";
import { randomText } from "../protocol/ids.js";
import { type WorkerType, instanceKey } from "../protocol/names.js";
import type { Backend, BackendStatus, CallOptions, FeedListener, InstanceSpec, Port, Reassertion } from "./backend.js";
import { Calls, type NewCall } from "./calls.js";
import { Connection } from "./connection.js";
import type { Hosting, HostingMode } from "./dialer.js";
import { Feed } from "./feed.js";
import { isolated } from "./isolated.js";
import { integer } from "./ranges.js";

export interface HubOptions {
  /** A named world per origin: spaces share nothing. Default "default". */
  space?: string;
  /**
   * Makes the SharedWorker, for a worker file of your own; pass `name` and `type` on. Default: the file that comes with
   * the package, found by the bundler.
   */
  worker?: (options: { name: string; type: WorkerType }) => SharedWorker;
  /**
   * How `worker` loads its file: "classic" for `worker.global.js`. It is a part of the name, for tabs of two builds that
   * load one address in different ways cannot share a worker. Default "module".
   */
  workerType?: WorkerType;
  /**
   * Where the hub runs. Default: in a SharedWorker; where there is none, beside one of the tabs, which the others reach
   * through it; where that is not possible either, in this tab and for it alone, and nothing of it lasts.
   * `status.mode` says which. A mode named here is the only one that is tried.
   */
  mode?: HostingMode;
  /**
   * Makes the worker beside an elected tab, for a file of your own; pass `name` on. Default: the one that comes with the
   * package.
   */
  dedicatedWorker?: (options: { name: string }) => Worker;
  /** Called after every change of `status`. */
  onStatus?: (status: BackendStatus) => void;
  /**
   * Called when another hub took over whose memory-only state is empty; "storage-deleted": what was durable is gone,
   * too, because somebody deleted this site's data.
   */
  onReset?: (event: { reason: "hub-restarted" | "storage-deleted" }) => void;
  /**
   * Asks the browser, from this tab, to keep this origin's data also when the disk gets full; some browsers ask the
   * user. `status.persisted` has the answer. Default false: nothing is asked.
   */
  persist?: boolean;
  /**
   * How much of what waits in durable queues the hub keeps in memory, in bytes of payload; the rest stays on disk until
   * it is received. Of several tabs' wishes the smallest counts. Default 64 MiB.
   */
  payloadBudgetBytes?: number;
  /** Lets `advanceClock` move the hub's clock. Tests only. */
  testClock?: boolean;
}

interface OpenPort {
  readonly ref: number;
  readonly key: string;
  /** undefined: the space itself, which is always open. */
  readonly spec: InstanceSpec | undefined;
  /** Some call needed it: every later hub gets an open before anything else. */
  used: boolean;
  /** The current hub was asked to open it, and has not refused. */
  opened: boolean;
  /** What every later hub must be told. */
  readonly reassertions: Set<(hub: { remembers: boolean }) => Reassertion | undefined>;
}

/** The hub of a space, shared by every tab of this origin. */
export function createHubBackend(options: HubOptions, hosting: Hosting): Backend {
  return new HubBackend(options, hosting);
}

class HubBackend implements Backend {
  readonly root: Port;
  #status: BackendStatus = {
    mode: "shared-worker",
    state: "connecting",
    epoch: "",
    connected: false,
    tabId: "",
    durable: false,
    tabs: 0,
    version: __VERSION__,
    upgradeRequired: false,
  };
  readonly #options: HubOptions;
  readonly #hosting: Hosting;
  readonly #statusListeners = new Set<(status: BackendStatus) => void>();
  readonly #calls = new Calls({
    send: (frame) => this.#send(frame),
    onTimeout: () => void this.#connection?.check(),
    problem: () => (this.#status.state === "ready" ? undefined : this.#status.problem),
  });
  readonly #feed: Feed;
  /** One per instance and settings, however many handles there are. */
  readonly #ports = new Map<string, OpenPort>();
  /** Why no call will succeed any more. */
  #failure: TabloomError | undefined;
  /** The memory of the hub is another, and the app was not told yet: what was lost shows when it is there. */
  #resetting = false;
  #lineage: string | undefined;
  /** Made by the first call, so that importing and making handles does nothing. */
  #connection: Connection | undefined;

  constructor(options: HubOptions, hosting: Hosting) {
    this.#options = options;
    this.#hosting = hosting;
    if (options.payloadBudgetBytes !== undefined) integer("payloadBudgetBytes", options.payloadBudgetBytes, { min: 0 });
    this.#feed = new Feed(options.space ?? "default");
    this.#ports.set("", {
      ref: SPACE_REF,
      key: "",
      spec: undefined,
      used: false,
      opened: true,
      reassertions: new Set(),
    });
    this.root = this.#portOf(this.#ports.get("")!);
    if (options.onStatus) this.#statusListeners.add(options.onStatus);
  }

  get status(): BackendStatus {
    return this.#status;
  }

  onStatus(listener: (status: BackendStatus) => void): () => void {
    this.#statusListeners.add(listener);
    return () => this.#statusListeners.delete(listener);
  }

  port<K extends Kind>(spec: InstanceSpec<K>): Port {
    const key = instanceKey(spec.name);
    const settings = JSON.stringify([key, spec.config, spec.durability]);
    const port: OpenPort = this.#ports.get(settings) ?? {
      ref: this.#ports.size,
      key,
      spec,
      used: false,
      opened: false,
      reassertions: new Set(),
    };
    this.#ports.set(settings, port);
    return this.#portOf(port);
  }

  #portOf(port: OpenPort): Port {
    return {
      call: (op, body, options) => this.#call(port, op, body, options),
      listen: (listener) => this.#listen(port, listener),
      reassert(tell) {
        port.reassertions.add(tell);
        return () => port.reassertions.delete(tell);
      },
    };
  }

  async close(): Promise<void> {
    if (this.#status.state === "closed") return;
    this.#setStatus({ state: "closed", connected: false });
    this.#feed.close();
    this.#calls.close(closedError("backend"));
    await this.#connection?.close();
  }

  async advanceClock(ms: number): Promise<void> {
    this.#connect();
    await this.#whenConnected();
    await this.#connection!.send({ kind: "clock", tab: this.#connection!.tab, advanceMs: ms });
  }

  // --- Calls ------------------------------------------------------------------------------------------------------

  #call<Op extends CommandName>(port: OpenPort, op: Op, body: Body<Op>, options?: CallOptions): Promise<Reply<Op>> {
    if (this.#status.state === "closed") throw closedError("backend");
    if (this.#failure) throw this.#failure;
    this.#connect();
    this.#open(port);
    return this.#calls.add({ ref: port.ref, op, body, options }) as Promise<Reply<Op>>;
  }

  #listen(port: OpenPort, listener: FeedListener): () => void {
    this.#connect();
    this.#open(port);
    if (this.#feed.add(port.key, listener)) this.#tellListening(port, true);
    return () => {
      if (this.#feed.remove(port.key, listener) && this.#status.state !== "closed") this.#tellListening(port, false);
    };
  }

  #tellListening({ ref }: OpenPort, on: boolean): void {
    this.#calls.add({ ref, op: "instance.listen", body: { on } }).catch(() => {});
  }

  #open(port: OpenPort): void {
    port.used = true;
    if (port.opened || port.spec === undefined) return;
    port.opened = true;
    this.#calls.add(openCall(port.ref, port.spec)).catch(() => {
      // The call that needed it gets the same error. The next one tries again.
      port.opened = false;
    });
  }

  #send(frame: Omit<CallFrame, "kind" | "tab" | "epoch">): void {
    const { tab } = this.#connection!;
    this.#connection!.send({ kind: "calls", tab, epoch: this.#status.epoch, ...frame }).then(
      (text) => this.#receive(text),
      () => this.#connection?.reconnect(),
    );
  }

  #receive(text: string): void {
    const frame = JSON.parse(text) as ReplyFrame;
    // Of a hub that was given up meanwhile: what it says is void, its calls are asked again.
    if (frame.epoch !== this.#status.epoch && !frame.reset) return;
    this.#calls.settle(frame.replies);
    if (frame.reset) this.#connection?.reconnect();
    else if (frame.status) this.#setHubStatus(frame.status);
  }

  /** Keeps one pull open, for answers that come later than their frame's. */
  async #pull(connection: Connection, epoch: string): Promise<void> {
    while (connection.connected && this.#status.epoch === epoch) this.#receive(await connection.pull(epoch));
  }

  // --- The hub's life ---------------------------------------------------------------------------------------------

  #connect(): void {
    if (this.#connection) return;
    if (this.#options.persist) void askToPersist().then((persisted) => this.#setStatus({ persisted }));
    this.#hosting.assertAvailable();
    this.#connection = new Connection({
      space: this.#options.space ?? "default",
      testClock: this.#options.testClock ?? false,
      payloadBudgetBytes: this.#options.payloadBudgetBytes,
      ways: this.#hosting.ways,
      onConnected: (welcome, mode) => this.#connected(welcome, mode),
      onDisconnected: () => {
        this.#calls.pause();
        this.#feed.close();
        this.#setStatus({ connected: false, state: "connecting" });
      },
      onPong: (status) => {
        this.#setHubStatus(status);
        this.#feed.resync();
      },
      onFailed: (error) => {
        this.#failure = error;
        this.#setStatus({ connected: false, state: "failed", upgradeRequired: error.code === "VERSION" });
        this.#calls.close(error);
      },
    });
  }

  #connected(welcome: Welcome, mode: HostingMode): void {
    const before = this.#status.epoch;
    const { epoch } = welcome;
    const another = before !== "" && before !== epoch;
    this.#feed.epoch = epoch;
    this.#setStatus({ connected: true, tabId: this.#connection!.tab, mode, ...statusOf(welcome) });
    this.#calls.resume(() => this.#reopen({ remembers: welcome.known && !another }), another || !!welcome.forgotten);
    void this.#pull(this.#connection!, epoch).catch(() => this.#connection?.reconnect());
    this.#feed.resync();
    if (another) this.#resetting = true;
    this.#tellReset(welcome);
  }

  #tellReset({ state, lineage }: HubStatus): void {
    if (state !== "ready") return;
    const deleted = this.#lineage && lineage && lineage !== this.#lineage;
    this.#lineage = lineage ?? this.#lineage;
    if (!this.#resetting) return;
    this.#resetting = false;
    isolated(() => this.#options.onReset?.({ reason: deleted ? "storage-deleted" : "hub-restarted" }));
  }

  /** Opens again what any call ever needed: calls under way may need it now. */
  #reopen(hub: { remembers: boolean }): void {
    for (const port of this.#ports.values()) {
      if (!port.used) continue;
      port.opened = port.spec === undefined;
      this.#open(port);
      if (this.#feed.hears(port.key)) this.#tellListening(port, true);
      for (const tell of port.reassertions) this.#reassert(port, tell(hub));
    }
  }

  #reassert({ ref }: OpenPort, told: Reassertion | undefined): void {
    if (told === undefined) return;
    const { op, body, answered, refused } = told;
    this.#calls
      .add({ ref, op, body })
      .then((reply) => answered?.(reply as never))
      .catch((error: unknown) => refused?.(error));
  }

  /** What the hub says of itself. Another epoch means another memory: it has to be told everything anew. */
  #setHubStatus(status: HubStatus): void {
    if (status.epoch !== this.#status.epoch) return this.#connection?.reconnect();
    this.#setStatus(statusOf(status));
    this.#tellReset(status);
  }

  #setStatus(change: Partial<BackendStatus>): void {
    // Whatever the hub still says, or its end: nothing opens this again.
    if (this.#status.state === "closed") return;
    const next = { ...this.#status, ...change };
    if (JSON.stringify(next) === JSON.stringify(this.#status)) return;
    if (next.problem !== this.#status.problem && next.problem) console.warn(`tabloom: ${next.problem}`);
    this.#status = next;
    for (const listener of this.#statusListeners) isolated(() => listener(next));
  }

  #whenConnected(): Promise<void> {
    if (this.#status.connected) return Promise.resolve();
    return new Promise((resolve) => {
      const stop = this.onStatus(({ connected }) => {
        if (!connected) return;
        stop();
        resolve();
      });
    });
  }
}

function statusOf({ epoch, state, durable, problem, tabs }: HubStatus): Partial<BackendStatus> {
  return { epoch, durable, problem, tabs, state: state === "waiting" ? "loading" : state };
}

async function askToPersist(): Promise<boolean> {
  // In some places there is nothing to ask, in others (opaque origins) asking fails.
  return (await navigator.storage?.persist?.().catch(() => false)) ?? false;
}

function openCall(ref: number, spec: InstanceSpec): NewCall {
  const { name, config, durability } = spec;
  return { ref, op: "instance.open", body: { name, config, durability, seed: randomText(8) } };
}
