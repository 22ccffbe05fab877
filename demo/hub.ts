/** The hub as the package ships it, with a job of its own, and a switch to end it: no page can end a SharedWorker. */
import { job, scheduler } from "tabloom/worker";
import { KILL_CHANNEL, THE_HUB } from "./faults/kill-channel.js";
import { CHIMES, SCHEDULER_ID } from "./scheduler/chimes.js";

const channel = new BroadcastChannel(KILL_CHANNEL);
channel.addEventListener("message", ({ data }) => data === THE_HUB && self.close());

const chimes = job({ ...CHIMES, process: ({ input }) => Promise.resolve(`${input.schedule} rang in the hub`) });
void chimes.start();
void scheduler({ id: SCHEDULER_ID }).start();
