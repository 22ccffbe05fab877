import { createMemoryBackend } from "../../src/memory/memory-backend.js";
import { runInNode } from "./in-node.js";

runInNode({ name: "memory", connect: () => createMemoryBackend({ testClock: true }) });
