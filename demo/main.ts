import { showEphemeralPanel } from "./ephemeral/ephemeral-panel.js";
import { showFaults } from "./faults/faults-panel.js";
import { showInspect } from "./inspect/inspect-panel.js";
import { showJobPanel } from "./job/job-panel.js";
import { showMutexPanel } from "./mutex/mutex-panel.js";
import { byId } from "./page/dom.js";
import { showPanels } from "./page/panels.js";
import { showQueuePanel } from "./queue/queue-panel.js";
import { showSendPanel } from "./queue/send-panel.js";
import { showWorkerPanel } from "./queue/worker-panel.js";
import { showRatelimitPanel } from "./ratelimit/ratelimit-panel.js";
import { showRegistryPanel } from "./registry/registry-panel.js";
import { showRetryPanel } from "./retry/retry-panel.js";
import { showSchedulerPanel } from "./scheduler/scheduler-panel.js";
import { showBurst } from "./speed/burst.js";
import { showSpeed } from "./speed/speed-panel.js";
import { showHub } from "./tabs/hub-status.js";
import { startMeter } from "./tabs/meter.js";
import { joinTabs } from "./tabs/presence.js";
import { showTabs } from "./tabs/tabs.js";
import { showActivity } from "./topic/activity-panel.js";
import { showTopicPanel } from "./topic/topic-panel.js";

if ("SharedWorker" in globalThis) start();
else sayUnsupported();

function start(): void {
  showHub();
  showTabs();
  joinTabs();
  showPanels();
  showSendPanel();
  showWorkerPanel();
  showQueuePanel();
  showTopicPanel();
  showActivity();
  showJobPanel();
  showSchedulerPanel();
  showMutexPanel();
  showRatelimitPanel();
  showRegistryPanel();
  showEphemeralPanel();
  showRetryPanel();
  showFaults();
  showInspect();
  showSpeed();
  showBurst();
  startMeter();
}

function sayUnsupported(): void {
  document.body.classList.add("unsupported");
  byId("unsupported", HTMLElement).hidden = false;
}
