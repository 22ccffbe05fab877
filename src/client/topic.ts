import type { TopicConfig, TopicItem, TopicPublished } from "../protocol/commands.js";
import { formatCursor } from "../protocol/cursor.js";
import type { Maybe } from "./backend.js";
import type { Flavour } from "./flavour.js";
import { Handle } from "./handle.js";
import { newId } from "../protocol/ids.js";
import { liveEvents } from "./live.js";
import { encodeItem } from "./item.js";
import { andThen, promised } from "./maybe.js";
import { duration, integer } from "./ranges.js";
import type { Schema } from "./schema.js";
import { createTopicReader } from "./topic-reader.js";
import type { PubOptions, Published, Topic, TopicOptions } from "./topic-types.js";

const DAYS_7 = 7 * 24 * 3_600_000;
const MAX_ITEMS = 1000;
const MAX_BYTES = 8 * 1024 * 1024;

type Item = Omit<PubOptions<unknown>, "tenantId">;

/** The `topic` factory over a flavour's backend. */
export function createTopicFactory(flavour: Flavour) {
  /**
   * A durable log of events: `live()` brings every event to every listener, groups of readers take each event once.
   *
   * @throws `ValidationError` for a bad id; `RangeError` for limits out of range.
   * @example
   * const orders = topic({ id: "orders", schema: z.object({ orderId: z.string() }) });
   * await orders.pub({ data: { orderId: "o-1" } });
   * for await (const event of orders.live()) show(event.data);
   */
  return function topic<S extends Schema>(options: TopicOptions<S>): Topic<S> {
    const handle = new Handle("topic", flavour, options, configOf(options), "relaxed");
    const { schema } = options;
    const close = async (): Promise<void> => handle.close();
    return {
      pub: (publishing) =>
        promised(() => {
          const port = handle.port(publishing.tenantId);
          return handle.inOrder(prepare(schema, publishing), (item) =>
            andThen(port.call("topic.publish", item), (reply) => published(item, reply)),
          );
        }),
      pubMany: (items, cfg) => promised(() => publishMany(handle, schema, items, cfg?.tenantId)),
      reader: (group, cfg) =>
        createTopicReader({ handle, schema, group: group ?? "default", consumerId: cfg?.consumerId }),
      live: (cfg) => liveEvents(handle, schema, cfg ?? {}),
      latestCursor: async (cfg) => {
        const { generation, n } = await handle.ask(cfg?.tenantId, (port) => port.call("topic.anchor", { after: "$" }));
        return formatCursor(generation, n);
      },
      stats: (cfg) => handle.ask(cfg?.tenantId, (port) => port.call("topic.stats", {})),
      close,
      [Symbol.asyncDispose]: close,
    };
  };
}

function configOf<S extends Schema>(options: TopicOptions<S>): TopicConfig {
  return {
    payloadBytes: integer("payloadBytes", options.limits?.payloadBytes ?? 131_072, { min: 1 }),
    retentionMs: duration("retentionMs", options.retentionMs ?? DAYS_7),
    maxLen: integer("maxLen", options.maxLen ?? 50_000, { min: 1 }),
    reclaimAfterMs: duration("reclaimAfterMs", options.reclaimAfterMs ?? 60_000),
  };
}

async function publishMany(
  handle: Handle<"topic">,
  schema: Schema,
  items: readonly Item[],
  tenantId: string | undefined,
): Promise<Published[]> {
  const port = handle.port(tenantId);
  if (items.length > MAX_ITEMS) throw new RangeError(`pubMany takes at most ${MAX_ITEMS} events, not ${items.length}`);
  return handle.inOrder(Promise.all(items.map(async (item) => prepare(schema, item))), async (prepared) => {
    const bytes = prepared.reduce((sum, item) => sum + item.bytes, 0);
    if (bytes > MAX_BYTES) throw new RangeError(`pubMany takes at most ${MAX_BYTES} bytes, not ${bytes}`);
    const replies = await port.call("topic.publishMany", { items: prepared });
    return prepared.map((item, i) => published(item, replies[i]!));
  });
}

function published(item: TopicItem, { cursor, duplicateOf }: TopicPublished): Published {
  return { eventId: duplicateOf ?? item.eventId, cursor, duplicate: duplicateOf !== undefined };
}

function prepare(schema: Schema, options: Item): Maybe<TopicItem> {
  return andThen(encodeItem(schema, options), (encoded) => ({ eventId: newId(), ...encoded }));
}
