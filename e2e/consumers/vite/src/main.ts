import type { HubOptions } from "tabloom";
import { hubAsked, joinSpace } from "./tab.js";

const own: HubOptions = {
  worker: ({ name }) => new SharedWorker(new URL("./hub.ts", import.meta.url), { type: "module", name }),
};

joinSpace(hubAsked === "own" ? own : {});
