/** Has a report written every minute, and one at once. Started twice, one of the two would do it. */
import { scheduler } from "tabloom/server";
import { onStop, reports, say } from "./shop.mjs";

const hours = scheduler({
  id: "hours",
  onMetric(metric) {
    if (metric.type === "dispatch_submitted") say(`it is time: ${metric.scheduleId} (job ${metric.runId})`);
  },
});
const paper = reports();
await hours.register({ id: "each-minute", cron: "* * * * *", job: paper, input: { title: "daily report" } });
await hours.start();
const { nextRunAt } = await hours.get({ id: "each-minute" });
say(`has a report written at ${new Date(nextRunAt).toLocaleTimeString()}, and now`);
await hours.triggerNow({ id: "each-minute" });
onStop(() => Promise.all([hours.close(), paper.close()]));
