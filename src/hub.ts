/** The SharedWorker file that comes with the package: a hub and nothing else. */
import { startHubHere } from "./worker/main.js";

startHubHere();
