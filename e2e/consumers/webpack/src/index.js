import { hubAsked, joinSpace } from "./tab.js";

const own = {
  worker: ({ name }) => new SharedWorker(new URL("./hub.js", import.meta.url), { type: "module", name }),
};

joinSpace(hubAsked === "own" ? own : {});
