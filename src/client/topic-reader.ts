import type { Gap, TopicDelivery } from "../protocol/commands.js";
import { AbortError, GapError, TopicPayloadError, ValidationError, closedError } from "../protocol/errors.js";
import type { Maybe, Port } from "./backend.js";
import type { Handle } from "./handle.js";
import { newId } from "../protocol/ids.js";
import { andThen, promised } from "./maybe.js";
import { delay, identifier, integer } from "./ranges.js";
import type { OutputOf, Schema } from "./schema.js";
import { withAnySignal } from "./signals.js";
import { createStream } from "./stream.js";
import { eventFields } from "./topic-event.js";
import type { TopicReader, TopicReceived, TopicRecvOptions } from "./topic-types.js";
import { decodeValue } from "./values.js";

const DEFAULT_WAIT_MS = 30_000;

interface ReaderOptions<S extends Schema> {
  handle: Handle<"topic">;
  schema: S;
  group: string;
  consumerId: string | undefined;
}

export function createTopicReader<S extends Schema>(options: ReaderOptions<S>): TopicReader<OutputOf<S>> {
  type Data = OutputOf<S>;
  const { handle, schema, consumerId } = options;
  const group = identifier("group", options.group);
  const closing = new AbortController();
  /** A gap that came when its caller had given up. */
  let untold: GapError | undefined;

  const recv = (cfg: TopicRecvOptions = {}): Promise<TopicReceived<Data> | null> =>
    promised(() => {
      if (untold) {
        const gap = untold;
        untold = undefined;
        throw gap;
      }
      const port = portOf(cfg.tenantId);
      const waitMs = cfg.wait === false ? 0 : delay("timeoutMs", cfg.timeoutMs ?? DEFAULT_WAIT_MS);
      if (cfg.signal?.aborted) return null;
      const endAt = performance.now() + waitMs;
      const claim = (left: number, signal: AbortSignal): Maybe<TopicReceived<Data> | null> => {
        const body = {
          group,
          deliveryId: newId(),
          max: 1,
          waitMs: left,
          ...(consumerId === undefined ? {} : { consumerId }),
        };
        const onLate = ({ deliveries, gap }: { deliveries: TopicDelivery[]; gap?: Gap }): void => {
          if (gap) untold = new GapError(gap);
          if (deliveries.length > 0) void giveBack(port, group, deliveries);
        };
        return andThen(port.call("topic.claim", body, { signal, onLate }), ({ deliveries: [delivery], gap }) => {
          if (gap) throw new GapError(gap);
          if (delivery === undefined) return null;
          return andThen(
            read(port, delivery, cfg.invalidPayload === "throw"),
            (event) => event ?? claim(Math.max(0, Math.ceil(endAt - performance.now())), signal),
          );
        });
      };
      const received = withAnySignal([closing.signal, handle.closing.signal, cfg.signal], (signal) =>
        handle.inOrder(undefined, () => claim(waitMs, signal)),
      );
      return Promise.resolve(received).catch((error: unknown) => {
        if (error instanceof AbortError) return null;
        throw error;
      });
    });

  function portOf(tenantId: string | undefined): Port {
    if (closing.signal.aborted) throw closing.signal.reason as Error;
    return handle.port(tenantId);
  }

  async function read(
    port: Port,
    delivery: TopicDelivery,
    throwInvalid: boolean,
  ): Promise<TopicReceived<Data> | undefined> {
    const { deliveryId } = delivery;
    try {
      const data = await decodeValue(schema, delivery.data);
      return {
        ...eventFields(delivery, delivery.cursor, data),
        deliveryId,
        attempt: delivery.attempt,
        commit: () => promised(() => port.call("topic.commit", { group, deliveryId })),
        touch: () => promised(() => port.call("topic.touch", { group, deliveryId })),
      };
    } catch (error) {
      if (!(error instanceof ValidationError)) throw error;
      await port.call("topic.commit", { group, deliveryId });
      if (!throwInvalid) return undefined;
      throw new TopicPayloadError({ eventId: delivery.eventId, rawPayload: delivery.data }, { cause: error });
    }
  }

  const close = async (): Promise<void> => closing.abort(closedError("reader"));
  return {
    group,
    recv,
    stream: (cfg = {}) =>
      createStream({
        signals: [closing.signal.aborted ? undefined : closing.signal, handle.ending, cfg.signal],
        endWhenEmpty: cfg.wait === false,
        pull: (signal) => recv({ ...cfg, signal }),
      }),
    async reclaim(cfg = {}) {
      const port = portOf(cfg.tenantId);
      const minIdleMs = delay("minIdleMs", cfg.minIdleMs ?? 60_000);
      const count = integer("count", cfg.count ?? 25, { min: 1, max: 1000 });
      const body = { group, deliveryId: newId(), minIdleMs, count };
      const { deliveries } = await handle.inOrder(undefined, () => port.call("topic.reclaim", body));
      const events = await Promise.all(deliveries.map((delivery) => read(port, delivery, false)));
      return events.filter((event) => event !== undefined);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function giveBack(port: Port, group: string, deliveries: TopicDelivery[]): Promise<void> {
  try {
    await port.call("topic.release", { group, deliveryIds: deliveries.map(({ deliveryId }) => deliveryId) });
  } catch {
    // Another reader takes them over when they have been idle for long enough.
  }
}
