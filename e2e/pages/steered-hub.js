// A hub that tests can disturb from inside: step its clock, let it hang, end it.
import "/dist/worker.js";

const steer = new BroadcastChannel("steer-hub");
const hubName = self.name;

steer.onmessage = ({ data }) => {
  if (data.hub !== undefined && !hubName.endsWith(data.hub)) return;
  if (data.stepMs !== undefined) {
    const now = Date.now;
    Date.now = () => now() + data.stepMs;
    steer.postMessage({ done: "stepped" });
  }
  if (data.hangMs !== undefined) {
    const until = performance.now() + data.hangMs;
    while (performance.now() < until);
    steer.postMessage({ done: "hung" });
  }
  if (data.close) self.close();
};
