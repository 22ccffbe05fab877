// Keeps hold of the workers that this tab makes, so that a test can end one as an out-of-memory kill would.
const workers = new Set();

globalThis.Worker = class extends Worker {
  constructor(...given) {
    super(...given);
    workers.add(this);
  }

  terminate() {
    workers.delete(this);
    super.terminate();
  }
};

/**
 * Ends the hub that this tab hosts, behind the library's back. Returns how many there were. A worker that is still being
 * started is let be until it is a hub: browsers end workers for what they use, not for having begun.
 */
globalThis.killHostedHub = async () => {
  const isHub = async () => (await navigator.locks.query()).held.some(({ name }) => name.includes(":hub/"));
  while (workers.size > 0 && !(await isHub())) await new Promise((resolve) => setTimeout(resolve, 5));
  const killed = workers.size;
  for (const worker of workers) worker.terminate();
  return killed;
};
