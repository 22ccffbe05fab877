/** Jobs prefer a visible tab; fall back to any. */
import { describe, expect, test } from "vitest";
import type { Call } from "../../src/engine/call.js";
import type { JobRun } from "../../src/protocol/commands.js";
import { EngineDriver } from "./engine-driver.js";
import { itemOf, jobNamed } from "./job-history.js";

const WAIT = 1e9;

class Tabs {
  readonly driver = new EngineDriver();
  #ids = 0;

  constructor() {
    this.driver.open(jobNamed("j", {}));
  }

  register(handleId: string, hidden: boolean): void {
    this.driver.ask("j", "job.register", { handleId, worker: true, hidden }, handleId);
  }

  claim(handleId: string): Call {
    const body = { runId: `run ${++this.#ids}`, handleId, max: 1, waitMs: WAIT };
    return this.driver.run("j", "job.claim", body, { owner: handleId, waitMs: WAIT });
  }

  submit(priority = 5): string {
    const jobId = `job ${++this.#ids}`;
    const spec = { delay: 0, key: 9, priority, ordering: 0, attempts: 1, backoff: 0, lease: 20_000 };
    this.driver.ask("j", "job.submit", itemOf(jobId, spec));
    return jobId;
  }

  /** The job that a claim got, if any. */
  got(claim: Call): string | undefined {
    const found = this.driver.space.settled.findLast(({ call }) => call === claim);
    return found?.outcome.ok ? (found.outcome.value as JobRun[])[0]?.jobId : undefined;
  }
}

describe("a job", () => {
  test("goes to a visible tab, though a hidden one has waited for longer", () => {
    const tabs = new Tabs();
    tabs.register("hidden", true);
    tabs.register("visible", false);
    const hidden = tabs.claim("hidden");
    const visible = tabs.claim("visible");
    const jobId = tabs.submit();
    expect([tabs.got(hidden), tabs.got(visible)]).toEqual([undefined, jobId]);
  });

  test("goes to a hidden tab when no visible one takes it for 50 ms", () => {
    const tabs = new Tabs();
    tabs.register("hidden", true);
    tabs.register("visible", false);
    tabs.claim("visible");
    tabs.submit();
    const jobId = tabs.submit();
    const hidden = tabs.claim("hidden");
    expect(tabs.got(hidden)).toBeUndefined();
    tabs.driver.advance(49);
    expect(tabs.got(hidden)).toBeUndefined();
    tabs.driver.advance(1);
    expect(tabs.got(hidden)).toBe(jobId);
  });

  test("goes to a hidden tab at once when there is no visible one, or none any more", () => {
    const tabs = new Tabs();
    tabs.register("hidden", true);
    const hidden = tabs.claim("hidden");
    const first = tabs.submit();
    expect(tabs.got(hidden)).toBe(first);
    tabs.register("visible", false);
    const waiting = tabs.claim("hidden");
    const second = tabs.submit();
    expect(tabs.got(waiting)).toBeUndefined();
    tabs.driver.space.release({ owner: "visible", died: true }, tabs.driver.now);
    expect(tabs.got(waiting)).toBe(second);
  });

  test("goes to a tab that comes to be visible", () => {
    const tabs = new Tabs();
    tabs.register("busy", false);
    tabs.register("hidden", true);
    const claim = tabs.claim("hidden");
    const jobId = tabs.submit();
    expect(tabs.got(claim)).toBeUndefined();
    tabs.register("hidden", false);
    expect(tabs.got(claim)).toBe(jobId);
  });

  test("that a newer, more urgent one overtook is offered in time all the same", () => {
    const tabs = new Tabs();
    tabs.register("busy", false);
    tabs.register("hidden", true);
    const claim = tabs.claim("hidden");
    tabs.submit(5);
    tabs.driver.advance(30);
    const urgent = tabs.submit(0);
    tabs.driver.advance(49);
    expect(tabs.got(claim)).toBeUndefined();
    tabs.driver.advance(1);
    expect(tabs.got(claim)).toBe(urgent);
  });
});

describe("a run that was taken over while claims are served", () => {
  test("is told to who watches it, in the same turn", () => {
    const tabs = new Tabs();
    tabs.register("one", false);
    const first = tabs.claim("one");
    const jobId = tabs.submit();
    const { runId } = first.body as { runId: string };
    tabs.driver.ask("j", "job.sleep", { runId, index: 0, stepId: "nap", ms: 10_000 });
    const watch = tabs.driver.run("j", "job.watch", { runId, jobId, waitMs: WAIT }, { owner: "one", waitMs: WAIT });
    tabs.register("two", false);
    const second = tabs.claim("two");
    tabs.driver.advance(10_999);
    expect(tabs.got(second)).toBeUndefined();
    tabs.driver.advance(1);
    expect(tabs.got(second)).toBe(jobId);
    expect(watch.parkedIn).toBeUndefined();
  });
});
