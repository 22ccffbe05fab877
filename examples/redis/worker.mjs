/** Works on orders, one at a time, and on what the scheduler submits. */
import { onStop, orders, pause, reports, say } from "./shop.mjs";

const shop = orders(async ({ ctx, input }) => {
  const about = `order ${input.number}`;
  say(`begins with ${about}${ctx.attempt > 1 ? `, attempt ${ctx.attempt}` : ""}`);
  for (const [step, done] of [
    ["charge", "charged"],
    ["pack", "packed"],
    ["ship", "shipped"],
  ]) {
    let mine = false;
    await ctx.step({
      id: step,
      async run() {
        mine = true;
        await pause(150);
      },
    });
    // A step that another worker has done is not done again: its result is there.
    say(`${about} is ${done}${mine ? "" : " already"}`);
  }
  return { by: process.env.SHOP_NAME };
});

const paper = reports(async ({ ctx, input }) => {
  say(`writes the ${input.title}, asked for by schedule ${ctx.meta.scheduleId}`);
});

await Promise.all([shop.start(), paper.start()]);
say("is ready to work");
onStop(() => Promise.all([shop.stop({ timeoutMs: 1000 }), paper.stop({ timeoutMs: 1000 })]));
