import type {
  EntryChange,
  EntryRecord,
  EntryScope,
  HeldEntry,
  RegistryConfig,
  RegistryOperation,
} from "../../src/protocol/commands.js";

type Entry = { -readonly [Key in keyof EntryRecord]: EntryRecord[Key] };
type Distribute<T> = T extends unknown ? Omit<T, "n" | "publishedAt" | "key"> : never;

/** What a rule rejects with. */
export class Refused extends Error {
  readonly error: { code: string; fields: object };
  constructor(code: string, fields: object) {
    super(code);
    this.error = { code, fields };
  }
}

/** Registry and ephemeral as one would explain them: everything in arrays, searched from end to end. */
export class EntriesModel {
  now: number;
  version = 0;
  entries: Entry[] = [];
  log: EntryChange[] = [];
  head = 0;
  trimmedUpTo = 0;
  config: RegistryConfig;
  readonly #kind: "registry" | "ephemeral";

  constructor(kind: "registry" | "ephemeral", config: RegistryConfig, now: number) {
    this.#kind = kind;
    this.config = config;
    this.now = now;
  }

  save(): unknown {
    const { version, entries, log, head, trimmedUpTo, config } = this;
    return structuredClone({ version, entries, log, head, trimmedUpTo, config });
  }

  load(saved: unknown): void {
    Object.assign(this, structuredClone(saved));
  }

  upsert(write: { key: string; value: string; bytes: number; ttlMs?: number; meta?: string }, bound?: Entry["bound"]) {
    this.settle();
    this.#checkSize(write.bytes);
    if (!this.find(write.key)) this.#checkCapacity(1);
    return stamp(this.#save(write.key, write.value, write.ttlMs ?? null, write.meta, bound));
  }

  create(write: { key: string; value: string; bytes: number; ttlMs?: number; meta?: string }) {
    this.settle();
    this.#checkSize(write.bytes);
    const entry = this.find(write.key);
    if (entry) return { ok: false, entry: { ...entry } };
    this.#checkCapacity(1);
    return { ok: true, stamp: stamp(this.#save(write.key, write.value, write.ttlMs ?? null, write.meta)) };
  }

  cas(write: { key: string; value: string; bytes: number; version: string; meta?: string }) {
    this.settle();
    this.#checkSize(write.bytes);
    const entry = this.find(write.key);
    if (entry?.version !== write.version) return null;
    return stamp(this.#save(write.key, write.value, entry.ttlMs, write.meta ?? entry.meta));
  }

  touch(key: string, ttlMs?: number) {
    this.settle();
    const entry = this.find(key);
    const length = ttlMs ?? entry?.ttlMs;
    if (!entry || length === null || length === undefined) return null;
    entry.updatedAt = this.now;
    entry.ttlMs = length;
    entry.expiresAt = this.now + length;
    entry.version = this.#endVersion(entry);
    const { version, updatedAt, expiresAt } = entry;
    this.#append(key, { type: "touch", version, updatedAt, expiresAt });
    return { version, expiresAt };
  }

  remove(key: string, reason?: string): boolean {
    this.settle();
    const entry = this.find(key);
    if (!entry) return false;
    this.#delete(entry, reason);
    return true;
  }

  /** Tried on a copy: what comes to nothing is thrown away. */
  transact(ops: RegistryOperation[]) {
    this.settle();
    for (const op of ops) if (op.op !== "remove") this.#checkSize(op.bytes);
    const before = this.save();
    const { config } = this;
    this.config = { ...config, maxEntries: Infinity };
    const count = this.#active().length;
    const stamps: unknown[] = [];
    for (const [index, op] of ops.entries()) {
      const entry = this.find(op.key);
      let reason: string | undefined;
      if (op.op === "create" && entry) reason = "exists";
      if (op.op === "cas" && !entry) reason = "missing";
      if (op.op === "cas" && entry && entry.version !== op.version) reason = "version";
      if (reason) {
        this.load(before);
        return { ok: false, index, reason };
      }
      if (op.op === "remove") stamps.push(entry && this.#delete(entry, op.reason) ? null : null);
      else if (op.op === "cas") stamps.push(this.cas(op));
      else stamps.push(this.upsert(op));
    }
    this.config = config;
    const added = this.#active().length - count;
    if (added > 0 && this.#active().length > config.maxEntries) {
      this.load(before);
      this.#checkCapacity(added);
    }
    return { ok: true, stamps };
  }

  get(key: string, includeExpired = false) {
    this.settle();
    const entry = this.entries.find((one) => one.key === key);
    return entry && (includeExpired || !entry.expired) ? { ...entry } : null;
  }

  list({
    prefix = "",
    status = "active",
    limit = Infinity,
    afterKey = "",
  }: {
    prefix?: string;
    status?: "active" | "expired";
    limit?: number;
    afterKey?: string;
  }) {
    this.settle();
    const all = this.entries
      .filter(({ key, expired }) => expired === (status === "expired") && key.startsWith(prefix))
      .filter(({ key }) => afterKey === "" || byBytes(key, afterKey) > 0)
      .sort((a, b) => byBytes(a.key, b.key));
    const entries = all.slice(0, limit).map((entry) => ({ ...entry }));
    return { entries, cursor: `GEN.${this.head}`, ...(all.length > limit ? { nextKey: entries.at(-1)!.key } : {}) };
  }

  read(after: number, limit: number, { key, prefix = "" }: EntryScope) {
    this.settle();
    const events = this.log
      .filter((event) => event.n > after && (key === undefined ? event.key.startsWith(prefix) : event.key === key))
      .slice(0, limit);
    const gap =
      after < this.trimmedUpTo ? { gap: { after: `GEN.${after}`, firstAvailable: `GEN.${this.trimmedUpTo}` } } : {};
    return { events, head: this.head, ...gap };
  }

  unbind(tab: string, handle: string): null {
    this.settle();
    for (const entry of this.#boundTo(tab)) if (entry.bound!.handle === handle) this.#delete(entry, "closed");
    return null;
  }

  assert(tab: string, handle: string, held: HeldEntry[]): string[] {
    this.settle();
    const lost: string[] = [];
    for (const { key, value, ttlMs, createdAt, version } of held) {
      const entry = this.find(key);
      if (entry) {
        if (entry.bound?.handle === handle) entry.bound = { tab, handle };
        else lost.push(key);
      } else if (this.#active().length >= this.config.maxEntries) lost.push(key);
      else {
        this.version = Math.max(this.version, Number(version));
        this.#save(key, value, ttlMs, undefined, { tab, handle }, createdAt);
      }
    }
    return lost;
  }

  gone(tab: string): void {
    if (this.#boundTo(tab).length === 0) return;
    this.settle();
    for (const entry of this.#boundTo(tab)) this.#delete(entry, "tab_gone");
  }

  stats() {
    this.settle();
    const stats = { entries: this.#active().length, events: this.log.length, cursor: `GEN.${this.head}` };
    if (this.#kind === "ephemeral") return stats;
    return { ...stats, tombstones: this.entries.length - stats.entries };
  }

  find(key: string): Entry | undefined {
    return this.entries.find((entry) => entry.key === key && !entry.expired);
  }

  /** Lets time pass with alarms that are on time. */
  advance(ms: number): void {
    const target = this.now + ms;
    for (let due; (due = this.#dueAt()) <= target;) {
      this.now = Math.max(this.now, due);
      this.settle();
    }
    this.now = target;
  }

  /** Does what is due now. */
  settle(): void {
    const due = this.#active().filter(({ expiresAt }) => expiresAt !== null && expiresAt <= this.now);
    due.sort((a, b) => a.expiresAt! - b.expiresAt! || Number(a.version) - Number(b.version));
    for (const entry of due) {
      entry.version = this.#endVersion(entry);
      entry.expired = true;
      if (this.#kind === "ephemeral") this.entries.splice(this.entries.indexOf(entry), 1);
      this.#append(entry.key, { type: "expire", version: entry.version, expiredAt: entry.expiresAt! });
    }
    this.entries = this.entries.filter(
      ({ expired, expiresAt }) => !expired || expiresAt! + this.config.tombstoneRetentionMs > this.now,
    );
    this.#trim();
  }

  #dueAt(): number {
    const times = this.entries.map(({ expired, expiresAt }) =>
      expiresAt === null ? Infinity : expired ? expiresAt + this.config.tombstoneRetentionMs : expiresAt,
    );
    const oldest = this.log[0];
    return Math.min(...times, oldest ? oldest.publishedAt + this.config.eventRetentionMs + 1 : Infinity);
  }

  #active(): Entry[] {
    return this.entries.filter(({ expired }) => !expired);
  }

  #boundTo(tab: string): Entry[] {
    return this.#active()
      .filter(({ bound }) => bound?.tab === tab)
      .sort((a, b) => byBytes(a.key, b.key));
  }

  #save(
    key: string,
    value: string,
    ttlMs: number | null,
    meta: string | undefined,
    bound?: Entry["bound"],
    createdAt?: number,
  ): Entry {
    const earlier = this.find(key);
    const entry: Entry = {
      key,
      value,
      version: String(++this.version),
      createdAt: createdAt ?? earlier?.createdAt ?? this.now,
      updatedAt: this.now,
      ttlMs,
      expiresAt: ttlMs === null ? null : this.now + ttlMs,
      meta,
      expired: false,
      bound,
    };
    this.entries = [...this.entries.filter((one) => one.key !== key), entry];
    this.#append(key, { type: "upsert", entry: { ...entry } });
    return entry;
  }

  #delete(entry: Entry, reason: string | undefined): true {
    this.entries.splice(this.entries.indexOf(entry), 1);
    const version = this.#endVersion(entry);
    this.#append(entry.key, {
      type: "delete",
      version,
      deletedAt: this.now,
      ...(reason === undefined ? {} : { reason }),
    });
    return true;
  }

  #endVersion({ version }: Entry): string {
    return this.#kind === "ephemeral" ? String(++this.version) : version;
  }

  #append(key: string, change: Distribute<EntryChange>): void {
    this.log.push({ n: ++this.head, publishedAt: this.now, key, ...change } as EntryChange);
    this.#trim();
  }

  #trim(): void {
    const { eventMaxLen, eventRetentionMs } = this.config;
    while (
      this.log.length > eventMaxLen ||
      (this.log.length > 0 && this.log[0]!.publishedAt < this.now - eventRetentionMs)
    ) {
      this.trimmedUpTo = this.log.shift()!.n;
    }
  }

  #checkSize(bytes: number): void {
    const limitBytes = this.config.maxPayloadBytes;
    if (bytes > limitBytes) throw new Refused("PAYLOAD_TOO_LARGE", { limitBytes, actualBytes: bytes });
  }

  #checkCapacity(added: number): void {
    const limit = this.config.maxEntries;
    if (this.#active().length + added > limit) throw new Refused("CAPACITY", { bound: "maxEntries", limit });
  }
}

function stamp({ version, createdAt, updatedAt, ttlMs, expiresAt, meta }: Entry) {
  return { version, createdAt, updatedAt, ttlMs, expiresAt, ...(meta === undefined ? {} : { meta }) };
}

/** UTF-8 bytes are in the order of code points. */
function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
