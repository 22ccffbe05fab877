// oxlint-disable vitest/no-standalone-expect -- what is expected depends on the history
/** Registry and ephemeral against a model: random histories, with late alarms, clock steps, undone turns, dead hubs. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Turn } from "../../src/engine/turn.js";
import type {
  Body,
  CommandName,
  EntryChange,
  EntryScope,
  OpenBody,
  RegistryConfig,
  RegistryOperation,
} from "../../src/protocol/commands.js";
import type { Json } from "../../src/protocol/json.js";
import { EngineDriver, START } from "./engine-driver.js";
import { EntriesModel, Refused } from "./entries-model.js";
import { restored } from "./restored.js";

type Kind = "registry" | "ephemeral";

const SECOND = 1000;
// Order by code points is not that of UTF-16 units for the last two.
const KEYS = ["a/1", "a/2", "a", "b/1", "b/\uff5e", "b/😀"];
const SCOPES: EntryScope[] = [{}, { prefix: "a/" }, { prefix: "b/" }, { key: "a/1" }];
const TABS = ["tab a", "tab b"];

const baseConfig: RegistryConfig = {
  maxEntries: 4,
  maxPayloadBytes: 100,
  eventRetentionMs: 20 * SECOND,
  eventMaxLen: 6,
  tombstoneRetentionMs: 10 * SECOND,
  reconcileBatchSize: 1,
};

type Step =
  | { do: "upsert" | "create" | "cas" | "touch" | "remove"; key: number; ttl: number; which: number }
  | { do: "transact"; ops: { op: RegistryOperation["op"]; key: number; which: number }[] }
  | { do: "bind" | "unbind" | "assert"; key: number; ttl: number; tab: number; handle: number }
  | { do: "gone"; tab: number; died: boolean }
  | { do: "page"; limit: number; scope: number; expired: boolean; afterKey: number }
  | { do: "follow"; reader: number; limit: number }
  | { do: "reconfigure"; maxEntries: number; eventMaxLen: number }
  | { do: "advance" | "late"; ms: number }
  | { do: "back"; ms: number }
  | { do: "journal"; what: "flush" | "committed" | "undone" | "hub died" };

const key = fc.nat(KEYS.length - 1);
const ttl = fc.constantFrom(0, 1 * SECOND, 1 * SECOND, 5 * SECOND, 30 * SECOND);
const which = fc.nat(5);
const tab = fc.nat(1);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 14,
    arbitrary: fc.record({
      do: fc.constantFrom("upsert", "upsert", "upsert", "create", "cas", "touch", "touch", "remove"),
      key,
      ttl,
      which,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("transact"),
      ops: fc.array(fc.record({ op: fc.constantFrom("upsert", "create", "cas", "remove", "remove"), key, which }), {
        maxLength: 5,
      }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constantFrom("bind", "bind", "unbind", "assert"), key, ttl, tab, handle: fc.nat(1) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("gone"), tab, died: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("page"),
      limit: fc.constantFrom(1, 2, 10),
      scope: fc.nat(2),
      expired: fc.boolean(),
      afterKey: fc.nat(KEYS.length),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant("follow"), reader: fc.nat(3), limit: fc.constantFrom(1, 3, 100) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("reconfigure"),
      maxEntries: fc.constantFrom(2, 4, 10),
      eventMaxLen: fc.constantFrom(2, 6, 100),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constantFrom("advance", "advance", "late"),
      ms: fc.constantFrom(1, SECOND, 4 * SECOND, 12 * SECOND, 40 * SECOND),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("back"), ms: fc.constantFrom(SECOND, 15 * SECOND) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("journal"),
      what: fc.constantFrom("flush", "committed", "committed", "undone", "hub died"),
    }),
  },
) as fc.Arbitrary<Step>;

/** A reader as a client is one: a place in the log, and what it holds of the entries. */
interface Reader {
  readonly scope: EntryScope;
  after: number;
  held: Map<string, string>;
}

/** Both, side by side; throws where they differ. */
class Pair {
  readonly #driver = new EngineDriver();
  readonly #model: EntriesModel;
  readonly #kind: Kind;
  #config: RegistryConfig;
  readonly #rows = new Map<string, Json>();
  /** As of the last turn on disk, and of the one on its way there. */
  #committed: unknown;
  #inFlight: { turn: Turn; model: unknown } | undefined;
  #readers: Reader[];
  /** The last event that was announced. */
  #announced = 0;
  #values = 0;

  constructor(kind: Kind, config: Partial<RegistryConfig>) {
    this.#kind = kind;
    this.#config = { ...baseConfig, ...config };
    this.#model = new EntriesModel(kind, this.#config, START);
    this.#open();
    this.#same("stats", {}, () => this.#model.stats());
    this.#readers = this.#freshReaders();
    this.#committed = this.#model.save();
    this.#journal("flush");
    this.#journal("committed");
  }

  perform(given: Step): void {
    this.#act(given);
    this.#same("stats", {}, () => this.#model.stats());
    this.#checkAnnounced();
    this.#driver.takeSettled();
  }

  /** At last everything that a reader holds is what is there. */
  finish(): void {
    for (const reader of this.#readers) this.#follow(reader, 100);
  }

  #act(given: Step): void {
    const model = this.#model;
    switch (given.do) {
      case "upsert":
      case "create":
      case "cas":
        return this.#write(given);
      case "touch": {
        const ttlMs = this.#kind === "ephemeral" ? { ttlMs: given.ttl || SECOND } : {};
        const touched = KEYS[given.key]!;
        return this.#same("touch", { key: touched, ...ttlMs }, () => model.touch(touched, ttlMs.ttlMs));
      }
      case "remove": {
        const reason = given.which ? {} : { reason: "why" };
        return this.#same("remove", { key: KEYS[given.key]!, ...reason }, () =>
          model.remove(KEYS[given.key]!, reason.reason),
        );
      }
      case "transact": {
        if (this.#kind === "ephemeral") return;
        const ops = given.ops.map((one) => this.#operation(one));
        return this.#same("transact", { ops }, () => model.transact(ops));
      }
      case "bind":
      case "unbind":
      case "assert":
        return this.#bind(given);
      case "gone":
        this.#driver.space.release({ owner: TABS[given.tab]!, died: given.died }, this.#driver.now);
        return model.gone(TABS[given.tab]!);
      case "page":
        return this.#page(given);
      case "follow":
        return this.#follow(this.#readers[given.reader]!, given.limit);
      case "reconfigure":
        this.#config = { ...this.#config, maxEntries: given.maxEntries, eventMaxLen: given.eventMaxLen };
        this.#open();
        this.#driver.ask("r", this.#op("stats"), {} as never);
        model.config = this.#config;
        return;
      case "advance":
        this.#driver.advance(given.ms);
        return model.advance(given.ms);
      case "late":
        this.#driver.now += given.ms;
        model.now += given.ms;
        return;
      case "back":
        this.#driver.now -= given.ms;
        model.now -= given.ms;
        return;
      case "journal":
        return this.#journal(given.what);
    }
  }

  #write(given: Extract<Step, { ttl: number; which: number }>): void {
    const model = this.#model;
    const body = { key: KEYS[given.key]!, ...this.#value(given.which) };
    const ttlMs = given.ttl ? { ttlMs: given.ttl } : {};
    if (this.#kind === "ephemeral") {
      const { meta: _, ...write } = { ...body, ttlMs: given.ttl || 2 * SECOND };
      return this.#same("upsert", write, () => model.upsert(write));
    }
    if (given.do === "upsert")
      return this.#same("upsert", { ...body, ...ttlMs }, () => model.upsert({ ...body, ...ttlMs }));
    if (given.do === "create")
      return this.#same("create", { ...body, ...ttlMs }, () => model.create({ ...body, ...ttlMs }));
    const version = this.#versionOf(body.key, given.which);
    this.#same("cas", { ...body, version }, () => model.cas({ ...body, version }));
  }

  #value(salt: number): { value: string; bytes: number; meta?: string } {
    const value = String(++this.#values);
    return { value, bytes: salt === 5 ? 101 : 1, ...(salt === 1 ? { meta: `m${value}` } : {}) };
  }

  /** Mostly the one that is there. */
  #versionOf(of: string, salt: number): string {
    return salt === 0 ? "7" : (this.#model.find(of)?.version ?? "1");
  }

  #operation({
    op,
    key: at,
    which: salt,
  }: {
    op: RegistryOperation["op"];
    key: number;
    which: number;
  }): RegistryOperation {
    const of = KEYS[at]!;
    if (op === "remove") return { op, key: of };
    const value = this.#value(salt);
    if (op === "cas") return { op, key: of, ...value, version: this.#versionOf(of, salt) };
    return { op, key: of, ...value, ...(salt > 3 ? { ttlMs: 5 * SECOND } : {}) };
  }

  #bind(given: Extract<Step, { handle: number }>): void {
    if (this.#kind === "registry") return;
    const model = this.#model;
    const owner = TABS[given.tab]!;
    const handle = `handle ${given.handle}`;
    const of = KEYS[given.key]!;
    if (given.do === "unbind") return this.#same("unbind", { handle }, () => model.unbind(owner, handle), owner);
    const value = String(++this.#values);
    const ttlMs = given.ttl || SECOND;
    if (given.do === "bind") {
      const body = { key: of, value, bytes: 1, ttlMs };
      return this.#same("upsert", { ...body, handle }, () => model.upsert(body, { tab: owner, handle }), owner);
    }
    const held = [of, KEYS[0]!].map((one) => ({ key: one, value, ttlMs, createdAt: START - 5, version: "3" }));
    this.#same("assert", { handle, entries: held }, () => model.assert(owner, handle, held), owner);
  }

  #page(given: Extract<Step, { do: "page" }>): void {
    const scope = SCOPES[given.scope]!;
    if (this.#kind === "ephemeral") return this.#same("snapshot", scope, () => this.#model.list(scope));
    const afterKey = KEYS[given.afterKey];
    const body = {
      ...scope,
      limit: given.limit,
      status: given.expired ? ("expired" as const) : ("active" as const),
      ...(afterKey?.startsWith(scope.prefix ?? "") ? { afterKey } : {}),
    };
    this.#same("list", body, () => this.#model.list(body));
    for (const one of KEYS) {
      this.#same("get", { key: one, includeExpired: given.expired }, () => this.#model.get(one, given.expired));
    }
  }

  /** Reads on as a client does, to the end; then what it holds is what is there. */
  #follow(reader: Reader, limit: number): void {
    for (;;) {
      const { after, scope } = reader;
      const read = this.#ask("read", { after, limit, ...scope }) as {
        value: { events: EntryChange[]; head: number; gap?: unknown };
      };
      expect(read).toEqual({ value: this.#model.read(after, limit, scope) });
      const { events, head, gap } = read.value;
      if (gap) {
        Object.assign(reader, this.#snapshot(scope));
        continue;
      }
      for (const event of events) {
        if (event.type === "upsert") reader.held.set(event.key, event.entry.value);
        else if (event.type !== "touch") reader.held.delete(event.key);
      }
      reader.after = events.length === limit ? events.at(-1)!.n : head;
      if (reader.after === head) break;
    }
    expect(Object.fromEntries(reader.held)).toEqual(Object.fromEntries(this.#snapshot(reader.scope).held));
  }

  #snapshot({ key: only, prefix }: EntryScope): { after: number; held: Map<string, string> } {
    const { entries, cursor } = this.#model.list(prefix === undefined ? {} : { prefix });
    const held = entries
      .filter((entry) => only === undefined || entry.key === only)
      .map((entry) => [entry.key, entry.value] as const);
    return { after: Number(cursor.slice("GEN.".length)), held: new Map(held) };
  }

  #freshReaders(): Reader[] {
    return SCOPES.map((scope) => ({ scope, ...this.#snapshot(scope) }));
  }

  #journal(what: "flush" | "committed" | "undone" | "hub died"): void {
    const { space } = this.#driver;
    if (what === "flush") {
      this.#inFlight ??= { turn: space.take(), model: this.#saved() };
    } else if (what === "committed") {
      if (!this.#inFlight) return;
      for (const { key: row, value, fresh } of this.#inFlight.turn.writes().values()) {
        expect(fresh, `${row} is fresh exactly when it is not on disk`).toBe(!this.#rows.has(row));
        if (value === undefined) this.#rows.delete(row);
        else this.#rows.set(row, JSON.parse(JSON.stringify(value)) as Json);
      }
      space.committed = this.#inFlight.turn.id;
      this.#committed = this.#inFlight.model;
      this.#inFlight = undefined;
    } else {
      if (what === "undone") space.undo([...(this.#inFlight ? [this.#inFlight.turn] : []), space.take()]);
      else this.#driver.space = restored(this.#rows);
      this.#inFlight = undefined;
      this.#load(this.#committed);
      this.#open();
    }
  }

  #saved(): unknown {
    return { model: this.#model.save(), readers: structuredClone(this.#readers), config: this.#config };
  }

  #load(saved: unknown): void {
    const { model, readers, config } = saved as { model: unknown; readers: Reader[]; config: RegistryConfig };
    this.#model.load(model);
    this.#readers = structuredClone(readers);
    this.#config = config;
    this.#announced = this.#model.head;
  }

  /** Every event is announced, once and in order. */
  #checkAnnounced(): void {
    const { announced } = this.#driver.space;
    this.#driver.space.announced = [];
    const events = announced.flatMap(({ event }) => ("event" in event.event ? [event] : []));
    for (const { n, event } of events) {
      expect(n).toBe(++this.#announced);
      expect(event.type).toBe(`${this.#kind}.changed`);
    }
    expect(this.#announced).toBe(this.#model.head);
    const retained = this.#model.log.slice(-events.length || Infinity);
    const tail = events.map(({ event }) => (event as { event: EntryChange }).event).slice(-retained.length || Infinity);
    expect(tail).toEqual(retained);
  }

  #same(verb: string, body: object, expected: () => unknown, owner?: string): void {
    const reply = this.#ask(verb, body, owner);
    try {
      expect(reply).toEqual({ value: expected() });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      expect(reply).toEqual({ error: error.error });
    }
  }

  #ask(verb: string, body: object, owner?: string): unknown {
    return this.#driver.ask("r", this.#op(verb), body as Body<CommandName>, owner);
  }

  #op(verb: string): CommandName {
    return `${this.#kind}.${verb}` as CommandName;
  }

  #open(): void {
    const name = { prefix: "", kind: this.#kind, tenantId: "default", id: "r" };
    this.#driver.open({ name, config: this.#config, durability: "relaxed", seed: "GEN" } as OpenBody);
  }
}

const config: fc.Arbitrary<Partial<RegistryConfig>> = fc.record({
  maxEntries: fc.constantFrom(2, 4, 100),
  eventMaxLen: fc.constantFrom(1, 6, 100),
  eventRetentionMs: fc.constantFrom(3 * SECOND, 1e9),
  tombstoneRetentionMs: fc.constantFrom(1, 10 * SECOND),
});

describe.each(["registry", "ephemeral"] as const)("%s", (kind) => {
  test("does what the model does", () => {
    const holds = (settings: Partial<RegistryConfig>, steps: Step[]): void => {
      const pair = new Pair(kind, settings);
      for (const each of steps) pair.perform(each);
      pair.finish();
    };
    fc.assert(fc.property(config, fc.array(step, { maxLength: 80, size: "max" }), holds), { numRuns: 600, seed: 6 });
  }, 120_000);
});
