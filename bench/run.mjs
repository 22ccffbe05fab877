/**
 * `npm run bench -- [name…] [--json] [--write] [--profile]`: builds the package and the benchmarks beside each other in
 * .out/bench, so that what is measured is the source as it is now, then runs bench/main.ts.
 */
import { resolve } from "node:path";
import { build } from "vite";

const OUT = ".out/bench";
const profiled = process.argv.includes("--profile");

/** The benchmarks import the sources for their types, and get the built files as a consumer would. */
function builtPackage(folder) {
  return {
    name: "bench:built-package",
    enforce: "pre",
    resolveId(id) {
      const entry = /\/src\/(index|memory|server)\.js$/.exec(id)?.[1];
      return entry ? { id: `${folder}/${entry}.js`, external: "absolute" } : null;
    },
  };
}

const quiet = { logLevel: "error" };
// Readable names for profiles of the worker.
const output = profiled ? { entryFileNames: "worker.js", codeSplitting: false, minify: false } : undefined;
await build({ ...quiet, build: { outDir: `${OUT}/package` } });
await build({
  ...quiet,
  mode: "worker",
  build: { outDir: `${OUT}/package`, emptyOutDir: false, ...(output && { rolldownOptions: { output } }) },
});
await build({
  ...quiet,
  configFile: false,
  plugins: [builtPackage(`/${OUT}/package`)],
  build: {
    outDir: `${OUT}/pages`,
    target: "es2022",
    minify: false,
    modulePreload: false,
    rolldownOptions: {
      input: { page: "bench/page.ts", "raw-worker": "bench/raw-worker.ts" },
      output: { entryFileNames: "[name].js" },
      preserveEntrySignatures: "strict",
    },
  },
});
await build({
  ...quiet,
  configFile: false,
  plugins: [builtPackage(resolve(OUT, "package"))],
  build: {
    outDir: `${OUT}/node`,
    target: "node20",
    ssr: true,
    minify: false,
    rolldownOptions: {
      input: {
        main: "bench/main.ts",
        "engine-thread": "bench/engine-thread.ts",
        "redis-worker": "bench/redis-worker.ts",
      },
    },
  },
});

const { main } = await import(resolve(OUT, "node/main.js"));
process.exitCode = await main(process.argv.slice(2));
