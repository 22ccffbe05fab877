// A worker file of an app: the hub, and a handler in it that runs with no tab's help.
import { job } from "/dist/worker-entry.js";

const anything = { "~standard": { version: 1, vendor: "e2e", validate: (value) => ({ value }) } };

job({
  id: "hosted",
  schema: anything,
  process: ({ input }) => ({ input, ranIn: globalThis.constructor.name }),
}).start();
