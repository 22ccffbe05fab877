import { byId } from "./dom.js";
import { showActivity } from "./activity-panel.js";
import { showBreakPanel } from "./break-panel.js";
import { showBurst } from "./burst.js";
import { showHub } from "./hub-status.js";
import { startMeter } from "./meter.js";
import { joinTabs } from "./presence.js";
import { showQueuePanel } from "./queue-panel.js";
import { showSendPanel } from "./send-panel.js";
import { showSpeed } from "./speed-panel.js";
import { showTabs } from "./tabs.js";
import { showTopicPanel } from "./topic-panel.js";
import { showWorkerPanel } from "./worker-panel.js";

if ("SharedWorker" in globalThis) start();
else sayUnsupported();

function start(): void {
  showHub();
  showTabs();
  joinTabs();
  showSendPanel();
  showWorkerPanel();
  showQueuePanel();
  showBreakPanel();
  showTopicPanel();
  showActivity();
  showSpeed();
  showBurst();
  startMeter();
}

function sayUnsupported(): void {
  document.body.classList.add("unsupported");
  byId("unsupported", HTMLElement).hidden = false;
}
