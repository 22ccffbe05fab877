/** What e2e/chaos/pages put into the page. Only ever touched inside `page.evaluate`. */
import type { Event } from "../../test/history/topic-history.js";
import type { Joined } from "../../test/history/job-history.js";
import type { LoadOptions } from "./tab.js";

declare global {
  function startLoad(options: LoadOptions): void;
  function endGiving(): Promise<void>;
  function endTaking(): Promise<void>;
  function disturb(hub: string, command: object): void;
  function endDedicated(): void;
  function deleteDatabase(): Promise<void>;
  function peekQueue(limit: number): Promise<object>;
  function owners(): Promise<number>;
  function replay(): Promise<Event[]>;
  function countersNow(): Promise<Record<string, number>>;
  function joinAll(ids: readonly string[]): Promise<Joined[]>;
}
