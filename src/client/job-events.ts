import type { JobEvent } from "../protocol/commands.js";
import type { Handle } from "./handle.js";
import type { JobEventItem, JobEventLog, JobEventOf } from "./job-types.js";
import { liveLog } from "./live.js";
import type { LogSource } from "./log-feed.js";
import { createLogReader } from "./log-reader.js";
import { identifier } from "./ranges.js";
import { fromText } from "./values.js";

/** The `events()` of a job's handle. */
export function jobEvents(handle: Handle<"job">, jobId: string, tenantId: string | undefined): JobEventLog {
  const source: LogSource<JobEvent> = {
    anchor: (port, after, signal) => port.call("job.anchor", { after }, { signal }),
    read: (port, range, signal) => port.call("job.read", { jobId, ...range }, { signal }),
    pick: (announced) =>
      announced.type === "job.happened" && announced.event.jobId === jobId ? announced.event : undefined,
  };
  return {
    live: (options = {}) =>
      liveLog({ ...options, handle, source, decode: itemOf, ...(tenantId === undefined ? {} : { tenantId }) }),
    reader: (group = "default") => ({
      group: identifier("group", group),
      ...createLogReader({
        handle,
        tenantId,
        after: "0",
        source,
        decode(event, cursor) {
          let committed = false;
          const commit = async (): Promise<boolean> => !committed && (committed = true);
          return { ...itemOf(event, cursor), commit };
        },
        overflow(gap) {
          throw gap;
        },
      }),
    }),
  };
}

function itemOf(event: JobEvent, cursor: string): JobEventItem {
  const { publishedAt } = event;
  const data: Partial<JobEvent> = { ...event };
  delete data.n;
  delete data.publishedAt;
  if (data.type === "progress") data.value = fromText(data.value!) as string;
  return { data: data as JobEventOf, eventId: cursor, cursor, publishedAt };
}
