import { createRequire } from "node:module";
import { defineConfig, type Plugin, type UserConfig } from "vite";
import manifest from "./package.json" with { type: "json" };

/**
 * Consumers' bundlers emit the worker only where they read `new SharedWorker(new URL("./worker.js", import.meta.url)`.
 * Vite would act on the same words in this build and inline the worker, so they are written after it is done.
 */
const workerUrl: Plugin = {
  name: "tabloom:worker-url",
  renderChunk(code, _chunk, _output, { magicString }) {
    if (!code.includes("__WORKER_URL__")) return null;
    if (!magicString) throw new Error("nativeMagicString is off: __WORKER_URL__ stays in the output");
    return magicString.replaceAll("__WORKER_URL__", 'new URL("./worker.js", import.meta.url)');
  },
};

/**
 * broadcast-channel carries stand-ins for a missing BroadcastChannel. They poll, and every browser with a SharedWorker
 * has the real one: joining a channel without it throws instead.
 */
const nativeBroadcast: Plugin = {
  name: "tabloom:native-broadcast",
  load(id) {
    if (!/broadcast-channel\/dist\/esbrowser\/methods\/(indexed-db|localstorage|simulate)\.js$/.test(id)) return null;
    const names = ["IndexedDBMethod", "LocalstorageMethod", "SimulateMethod"];
    return `const none = { type: "none", canBeUsed: () => false };\nexport { ${names.map((name) => `none as ${name}`).join(", ")} };`;
  },
};

const shared: UserConfig = {
  define: { __VERSION__: JSON.stringify(manifest.version) },
  resolve: {
    conditions: ["browser", "module", "import", "default"],
    // Dexie's entry for bundlers shares one Dexie per page and throws when the app brings another version of it.
    alias: [{ find: /^dexie$/, replacement: createRequire(import.meta.url).resolve("dexie/dist/modern/dexie.mjs") }],
  },
};

const tab: UserConfig = {
  ...shared,
  plugins: [workerUrl, nativeBroadcast],
  build: {
    target: "es2022",
    sourcemap: true,
    minify: false,
    lib: {
      entry: { index: "src/index.ts", memory: "src/memory.ts", "worker-entry": "src/worker.ts" },
      formats: ["es"],
    },
    rolldownOptions: {
      // Flat, because the chunk that starts the worker must lie beside worker.js.
      output: { entryFileNames: "[name].js", chunkFileNames: "shared-[hash].js" },
      experimental: { nativeMagicString: true },
    },
  },
};

/** A build of its own, because a worker has no import map and must not share chunks with the tab. */
const worker: UserConfig = {
  ...shared,
  plugins: [nativeBroadcast],
  build: {
    target: "es2022",
    sourcemap: true,
    emptyOutDir: false,
    lib: { entry: { worker: "src/hub.ts" }, formats: ["es"] },
    // Vite leaves whitespace in ES libraries; nobody bundles this file again, so it is minified here.
    rolldownOptions: { output: { entryFileNames: "worker.js", codeSplitting: false, minify: true } },
  },
};

export default defineConfig(({ mode }) => (mode === "worker" ? worker : tab));
