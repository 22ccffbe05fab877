import { assert } from "chai";
import { cases } from "./case.js";
import { rejectsWith, rejectsWithRange } from "./expectations.js";
import { gate, idleJob, recorder, textJob } from "./working.js";

/** submit, identity, who runs what. */
export const jobSubmit = cases("job", {
  "submit gives an id, and the job runs": async (world) => {
    const job = textJob(world, ({ input }) => `${input}!`);
    const id = await job.submit({ input: "a" });
    assert.match(id, /^[0-9A-Z]{26}$/);
    assert.include(await job.join({ id }), { id, status: "completed", result: "a!" });
  },

  "ids of one client are in order of submission": async (world) => {
    const job = idleJob(world);
    const ids = [];
    for (const input of "abc") ids.push(await job.submit({ input }));
    assert.deepEqual([...ids].sort(), ids);
  },

  "no handler runs inside the call that submits": async (world) => {
    let returned = false;
    const job = textJob(world, () => returned);
    const submitting = job.submit({ input: "a" });
    returned = true;
    assert.strictEqual((await job.join({ id: await submitting })).result, true);
  },

  "submitMany submits in order and says what was a duplicate": async (world) => {
    const { seen, process } = recorder();
    const job = textJob(world, process);
    const [a, b, again] = await job.submitMany([{ input: "a", key: "k" }, { input: "b" }, { input: "c", key: "k" }]);
    assert.deepEqual(again, { id: a!.id, duplicate: true });
    assert.include(b, { duplicate: false });
    await job.join({ id: b!.id });
    assert.deepEqual(seen, ["a", "b"]);
    assert.deepEqual((await job.submitMany([{ input: "d", key: "k" }]))[0], { id: a!.id, duplicate: true });
    assert.deepEqual(await job.submitMany([]), []);
  },

  "submitMany is all or none": async (world) => {
    const job = idleJob(world);
    await rejectsWith(job.submitMany([{ input: "a" }, { input: 1 as never }]), "VALIDATION");
    await rejectsWith(job.submitMany([{ input: "a" }, { input: "x".repeat(140_000) }]), "PAYLOAD_TOO_LARGE");
    await rejectsWithRange(job.submitMany(Array.from({ length: 1001 }, () => ({ input: "a" }))));
    await rejectsWithRange(job.submitMany(Array.from({ length: 70 }, () => ({ input: "x".repeat(130_000) }))));
    assert.strictEqual((await job.stats()).submitted, 0);
  },

  "handles with the same identity share everything, and each runs its own process": async (world) => {
    const id = world.id();
    const held = gate();
    const busy = gate();
    const one = textJob(
      world,
      async () => {
        busy.open();
        await held.opened;
        return "one";
      },
      { id },
    );
    const first = await one.submit({ input: "a" });
    await busy.opened;
    const two = textJob(world, () => "two", { id });
    const second = await two.submit({ input: "b" });
    assert.strictEqual((await one.join({ id: second })).result, "two", "reference fault: a second handle never ran");
    held.open();
    assert.strictEqual((await two.join({ id: first })).result, "one");
  },

  "stopping one handle leaves the other at work": async (world) => {
    const id = world.id();
    const one = textJob(world, () => "one", { id });
    const two = textJob(world, () => "two", { id });
    await one.start();
    await two.start();
    await one.stop();
    assert.strictEqual((await one.stats()).workers, 1);
    const producer = idleJob(world, { id });
    assert.strictEqual((await two.join({ id: await producer.submit({ input: "a" }) })).result, "two");
  },

  "names that a separator could confuse are different jobs": async (world) => {
    const id = world.id();
    const one = idleJob(world, { id: `${id}:a`, prefix: "b" });
    await one.submit({ input: "a" });
    for (const settings of [{ id, prefix: "a:b" }, { id: `a`, prefix: `b:${id}` }, { id: `${id}:a` }]) {
      assert.strictEqual((await idleJob(world, settings).stats()).submitted, 0);
    }
  },

  "tenants do not share jobs": async (world) => {
    const { seen, process } = recorder();
    const job = textJob(world, process);
    const id = await job.submit({ input: "theirs", tenantId: "other" });
    assert.strictEqual((await job.join({ id, tenantId: "other" })).status, "completed");
    assert.strictEqual((await job.join({ id })).error?.code, "UNKNOWN_JOB");
    assert.isNull(await job.get(id));
    assert.strictEqual((await job.get(id, { tenantId: "other" }))?.id, id);
    assert.strictEqual((await job.stats({ tenantId: "other" })).completed, 1);
    assert.strictEqual((await job.stats()).completed, 0);
    await job.submit({ input: "theirs again", tenantId: "other", delayMs: 1000 });
    assert.include(await job.stats({ tenantId: "other" }), { workers: 1 });
    assert.deepEqual(seen, ["theirs"]);
  },
});
