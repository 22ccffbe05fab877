// Jobs, schedules and bound entries, within reach of tests. Runs after page.js.

/** How far the hub's clock was moved; another hub has a clock of its own. */
let movedMs = 0;

function joinSpace({ hosting = false, ...options } = {}) {
  const workerUrl = hosting ? "/e2e/pages/hosting-hub.js" : undefined;
  join("test", { workerUrl, onReset: () => (movedMs = 0), ...options });
}

/** A job of three steps. The handler may hang after one of them, until its signal aborts. */
function workInSteps(name, { hangAfter }) {
  globalThis.stepping = tabloom.job({
    id: "stepping",
    schema: anything,
    async process({ ctx, input }) {
      const results = [];
      for (const i of [1, 2, 3]) {
        const run = async () => {
          await noteSafely({ what: "step", by: name, i });
          return input.from + i;
        };
        results.push(await ctx.step({ id: `step ${i}`, run }));
        if (i === hangAfter) await hang(name, ctx.signal);
      }
      return results;
    },
  });
}

function hang(name, signal) {
  note({ what: "hangs", by: name, i: 0 });
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => {
      note({ what: "aborted", by: name, i: 0 });
      reject(signal.reason);
    });
  });
}

/** A job each minute, that this tab runs, too. */
async function scheduleEachMinute() {
  globalThis.ticking = tabloom.job({ id: "ticking", schema: anything, process: () => "done" });
  globalThis.schedules = tabloom.scheduler({ id: "schedules" });
  await ticking.start();
  await schedules.register({ id: "each-minute", cron: "* * * * *", job: ticking, input: {} });
  await schedules.start();
}

/** Moves the hub's clock to just behind the next slot. */
async function toNextSlot() {
  const { nextRunAt } = await schedules.get({ id: "each-minute" });
  const ahead = nextRunAt + 1000 - (Date.now() + movedMs);
  movedMs += ahead;
  await backend.advanceClock(ahead);
}

/** Slots whose job is done, each as often as it was. */
async function slotsDone() {
  const { entries } = await ticking.list({ status: "completed" });
  return entries.map(({ meta }) => meta.scheduleSlotTs);
}

const presence = () => tabloom.ephemeral({ id: "presence", schema: anything, ttlMs: 24 * 3_600_000 });

async function bind(key) {
  await presence().upsert({ key, value: {}, bound: "tab" });
}

async function present() {
  return (await presence().snapshot()).entries.map(({ key }) => key);
}

Object.assign(globalThis, { joinSpace, workInSteps, scheduleEachMinute, toNextSlot, slotsDone, bind, present });
