import type { DeadEntry } from "../protocol/commands.js";
import type { Handle } from "./handle.js";
import type { DeadLetter, DeadLetterQueue } from "./queue-types.js";
import { delay, integer } from "./ranges.js";
import { decodeMeta } from "./values.js";

/** The `dlq` of a queue handle. */
export function deadLetterQueue(handle: Handle<"queue">): DeadLetterQueue {
  return {
    async list({ limit = 100, after, tenantId } = {}) {
      const body = { limit: integer("limit", limit, { min: 1, max: 1000 }), ...(after === undefined ? {} : { after }) };
      const { entries, next } = await handle.ask(tenantId, (port) => port.call("queue.listDead", body));
      return { entries: entries.map(deadLetter), ...(next === undefined ? {} : { next }) };
    },
    remove: (messageId, cfg) => handle.ask(cfg?.tenantId, (port) => port.call("queue.removeDead", { messageId })),
    async redrive({ ids, all, delayMs, tenantId }) {
      if ((ids === undefined) === (all !== true)) throw new RangeError("redrive takes either `ids` or `all: true`");
      const body = {
        ...(ids === undefined ? {} : { messageIds: ids }),
        ...(delayMs === undefined ? {} : { delayMs: delay("delayMs", delayMs) }),
      };
      return handle.ask(tenantId, (port) => port.call("queue.redriveDead", body));
    },
    purge: (cfg) => handle.ask(cfg?.tenantId, (port) => port.call("queue.purgeDead", {})),
  };
}

function deadLetter({ data, meta, ...entry }: DeadEntry): DeadLetter {
  return { ...entry, data: decodeOrRaw(data), ...(meta === undefined ? {} : { meta: decodeMeta(meta) }) };
}

/** A dead letter may be here because its text is not JSON: then the text itself. */
function decodeOrRaw(text: string): unknown {
  try {
    return text === "" ? undefined : (JSON.parse(text) as unknown);
  } catch {
    return text;
  }
}
