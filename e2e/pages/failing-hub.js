// A worker file of an app whose own code fails while the hub in it runs.
import "/dist/worker.js";

new BroadcastChannel("fail").onmessage = () => {
  throw new Error("the app's own");
};
