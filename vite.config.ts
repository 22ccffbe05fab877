import { builtinModules, createRequire } from "node:module";
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
 * broadcast-channel carries stand-ins for a missing BroadcastChannel, which poll, and options for them. It is given the
 * one method that is used (src/transport/broadcast.ts); what else it could choose stays out.
 */
const oneBroadcastMethod: Plugin = {
  name: "tabloom:one-broadcast-method",
  load(id) {
    const module = /broadcast-channel\/dist\/esbrowser\/(method-chooser|options)\.js$/.exec(id)?.[1];
    if (module === "options") return "export const fillOptionsWithDefaults = (options) => options;";
    return module && "export const chooseMethod = ({ methods: [method] }) => method;";
  },
};

/** Comlink can pass objects by proxy, for which each side carries both sides' code. Frames are texts. */
const noProxyTransfer: Plugin = {
  name: "tabloom:no-proxy-transfer",
  transform(code, id) {
    if (!id.endsWith("/comlink/dist/esm/comlink.mjs")) return null;
    const without = code.replace('["proxy", proxyTransferHandler],', "");
    if (without === code) throw new Error("Comlink no longer lists its handlers in these words");
    return { code: without, map: null };
  },
};

const libraries = [oneBroadcastMethod, noProxyTransfer];

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
  plugins: [workerUrl, ...libraries],
  build: {
    target: "es2022",
    sourcemap: true,
    minify: false,
    lib: {
      entry: {
        index: "src/index.ts",
        memory: "src/memory.ts",
        "worker-entry": "src/worker.ts",
        server: "src/server.ts",
      },
      formats: ["es"],
    },
    rolldownOptions: {
      external: "ioredis",
      // Flat, because the chunk that starts the worker must lie beside worker.js.
      output: { entryFileNames: "[name].js", chunkFileNames: "shared-[hash].js" },
      experimental: { nativeMagicString: true },
    },
  },
};

/**
 * A build of its own, because a worker has no import map and must not share chunks with the tab; and once more as a
 * classic script, for pages that host the file themselves.
 */
const worker: UserConfig = {
  ...shared,
  plugins: libraries,
  build: {
    target: "es2022",
    sourcemap: true,
    emptyOutDir: false,
    lib: { entry: "src/hub.ts" },
    // Vite leaves whitespace in ES libraries; nobody bundles these files again, so they are minified here.
    rolldownOptions: {
      output: [
        { format: "es", entryFileNames: "worker.js", codeSplitting: false, minify: true },
        // Copied to where its source map is not. What it exports is nothing: the name is a formality.
        { format: "iife", entryFileNames: "worker.global.js", name: "hub", minify: true, sourcemap: false },
      ],
    },
  },
};

/** The command line: for Node alone, and so with what its libraries have for Node. */
const cli: UserConfig = {
  ...shared,
  resolve: { conditions: ["node", "module", "import", "default"] },
  build: {
    target: "node20",
    // Read by scripts/licenses.mjs, and left out of the package.
    sourcemap: "hidden",
    minify: false,
    emptyOutDir: false,
    lib: { entry: { cli: "src/cli.ts" }, formats: ["es"] },
    rolldownOptions: {
      platform: "node",
      external: ["ioredis", /^node:/, ...builtinModules],
      output: { entryFileNames: "cli.js", codeSplitting: false },
    },
  },
};

const builds: Record<string, UserConfig> = { worker, cli };

export default defineConfig(({ mode }) => builds[mode] ?? tab);
