/** The hub as the package ships it, and a switch to end it: no page can end a SharedWorker from outside. */
import "tabloom/worker";
import { KILL_CHANNEL } from "./kill-channel.js";

const channel = new BroadcastChannel(KILL_CHANNEL);
channel.addEventListener("message", () => self.close());
