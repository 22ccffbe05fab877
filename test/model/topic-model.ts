import type { TopicConfig, TopicItem } from "../../src/protocol/commands.js";

interface Published {
  n: number;
  item: TopicItem;
  publishedAt: number;
  keyUntilAt: number;
}

interface Pending {
  n: number;
  deliveryId: string;
  by: string;
  attempt: number;
  since: number;
  idle: boolean;
}

interface Group {
  name: string;
  position: number;
  pending: Pending[];
  /** The lowest event that was trimmed before it was committed; 0: none. */
  lost: number;
}

/** A topic as one would explain it: everything in arrays, searched from end to end. Calls do not wait here. */
export class TopicModel {
  now: number;
  log: Published[] = [];
  head = 0;
  trimmedUpTo = 0;
  groups: Group[] = [];
  readonly #config: TopicConfig;
  readonly #generation: string;

  constructor(config: TopicConfig, generation: string, now: number) {
    this.#config = config;
    this.#generation = generation;
    this.now = now;
  }

  publish(items: TopicItem[]): { cursor: string; duplicateOf?: string }[] {
    const published = items.map((item) => {
      const earlier =
        item.idempotencyKey && this.log.findLast((event) => event.item.idempotencyKey === item.idempotencyKey);
      if (earlier && earlier.keyUntilAt > this.now)
        return { cursor: this.#cursor(earlier.n), duplicateOf: earlier.item.eventId };
      this.log.push({
        n: ++this.head,
        item,
        publishedAt: this.now,
        keyUntilAt: this.now + (item.idempotencyTtlMs ?? 0),
      });
      return { cursor: this.#cursor(this.head) };
    });
    this.#trim();
    return published;
  }

  claim(name: string, deliveryId: string, owner: string) {
    let group = this.groups.find((one) => one.name === name);
    if (!group) this.groups.push((group = { name, position: this.trimmedUpTo, pending: [], lost: 0 }));
    for (const one of group.pending.filter(({ idle, n }) => idle && n <= this.trimmedUpTo)) {
      group.lost = group.lost ? Math.min(group.lost, one.n) : one.n;
      group.pending.splice(group.pending.indexOf(one), 1);
    }
    if (group.lost || group.position < this.trimmedUpTo) {
      const first = Math.min(group.lost || Infinity, group.position < this.trimmedUpTo ? group.position + 1 : Infinity);
      group.position = Math.max(group.position, this.trimmedUpTo);
      group.lost = 0;
      return {
        deliveries: [],
        gap: { after: this.#cursor(first - 1), firstAvailable: this.#cursor(this.trimmedUpTo) },
      };
    }
    const idle = group.pending.filter((one) => one.idle).sort((a, b) => a.n - b.n)[0];
    if (idle) return { deliveries: [this.#takeOver(idle, deliveryId, owner)] };
    const next = this.log.find(({ n }) => n > group.position);
    if (!next) return { deliveries: [] };
    group.position = next.n;
    const pending: Pending = { n: next.n, deliveryId: "", by: "", attempt: 0, since: 0, idle: false };
    group.pending.push(pending);
    return { deliveries: [this.#takeOver(pending, deliveryId, owner)] };
  }

  commit(name: string, deliveryId: string): boolean {
    const { group, pending } = this.#find(name, deliveryId);
    if (pending) group!.pending.splice(group!.pending.indexOf(pending), 1);
    return pending !== undefined;
  }

  touch(name: string, deliveryId: string): boolean {
    const { pending } = this.#find(name, deliveryId);
    if (pending) Object.assign(pending, { since: this.now, idle: false });
    return pending !== undefined;
  }

  release(name: string, deliveryId: string): number {
    const { pending } = this.#find(name, deliveryId);
    if (pending) Object.assign(pending, { attempt: pending.attempt - 1, idle: true });
    return pending ? 1 : 0;
  }

  reclaim(name: string, deliveryId: string, minIdleMs: number, count: number, owner: string) {
    const group = this.groups.find((one) => one.name === name);
    const found = (group?.pending ?? [])
      .filter(({ idle, since, n }) => (idle || this.now - since >= minIdleMs) && n > this.trimmedUpTo)
      .sort((a, b) => a.n - b.n)
      .slice(0, count);
    return {
      deliveries: found.map((pending, i) =>
        this.#takeOver(pending, count === 1 ? deliveryId : `${deliveryId}.${i}`, owner),
      ),
    };
  }

  ownerGone(owner: string, died: boolean): void {
    for (const pending of this.groups.flatMap((group) => group.pending)) {
      if (pending.by === owner && !pending.idle)
        Object.assign(pending, { idle: true, attempt: pending.attempt - (died ? 0 : 1) });
    }
  }

  read(after: number, limit: number) {
    const gap =
      after < this.trimmedUpTo
        ? { gap: { after: this.#cursor(after), firstAvailable: this.#cursor(this.trimmedUpTo) } }
        : {};
    const events = this.log
      .filter(({ n }) => n > after)
      .slice(0, limit)
      .map((event) => this.#eventOf(event));
    return { events, head: this.head, ...gap };
  }

  advance(ms: number): void {
    this.now += ms;
    this.#trim();
    for (const pending of this.groups.flatMap((group) => group.pending)) {
      if (this.now >= pending.since + this.#config.reclaimAfterMs) pending.idle = true;
    }
  }

  stats() {
    const groups = this.groups.map(({ name, position, pending }) => [
      name,
      { lag: this.head - Math.max(position, this.trimmedUpTo), pending: pending.length },
    ]);
    return {
      entries: this.log.length,
      cursor: this.#cursor(this.head),
      groups: Object.fromEntries(groups) as object,
      waiters: 0,
    };
  }

  #trim(): void {
    const { maxLen, retentionMs } = this.#config;
    while (this.log.length > maxLen || (this.log[0] && this.log[0].publishedAt < this.now - retentionMs)) {
      this.trimmedUpTo = this.log.shift()!.n;
    }
  }

  #takeOver(pending: Pending, deliveryId: string, owner: string) {
    Object.assign(pending, { deliveryId, by: owner, attempt: pending.attempt + 1, since: this.now, idle: false });
    const event = this.log.find(({ n }) => n === pending.n)!;
    return { ...this.#eventOf(event), deliveryId, attempt: pending.attempt, cursor: this.#cursor(event.n) };
  }

  #find(name: string, deliveryId: string) {
    const group = this.groups.find((one) => one.name === name);
    return { group, pending: group?.pending.find((one) => one.deliveryId === deliveryId) };
  }

  #eventOf({ n, item, publishedAt }: Published) {
    return { n, eventId: item.eventId, data: item.data, publishedAt };
  }

  #cursor(n: number): string {
    return `${this.#generation}.${n}`;
  }
}
