/** What an app downloads of the package, minified and gzipped. Fails above the ceilings; `npm run build` comes before. */
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { build } from "vite";

const KB = 1000;

const NINE = "ratelimit, mutex, queue, topic, job, scheduler, registry, ephemeral, retry";

/**
 * `target`: what is wanted (docs/benchmarks.md tells what stands in the way where it is missed); `ceiling`: more than
 * this fails, so that nothing grows unseen.
 *
 * @returns {Promise<{ label: string, bytes: number, target: number, ceiling: number }[]>}
 */
export async function sizes() {
  return [
    {
      label: 'import { queue } from "tabloom"',
      bytes: await appSize('import { queue } from "tabloom"; globalThis.kept = queue;'),
      target: 14 * KB,
      ceiling: 14 * KB,
    },
    {
      label: "all nine primitives",
      bytes: await appSize(`import { ${NINE} } from "tabloom"; globalThis.kept = [${NINE}];`),
      target: 20 * KB,
      ceiling: 28 * KB,
    },
    { label: "worker.js", bytes: gzipped(readFileSync("dist/worker.js")), target: 60 * KB, ceiling: 80 * KB },
  ];
}

/** Builds an app of these lines with Vite, as a consumer would. */
async function appSize(code) {
  const app = {
    name: "app",
    resolveId: (id) => (id === "app" ? id : null),
    load: (id) => (id === "app" ? code : null),
  };
  const { output } = await build({
    configFile: false,
    logLevel: "error",
    plugins: [app],
    build: { write: false, target: "es2022", modulePreload: false, rolldownOptions: { input: "app" } },
  });
  if (!output.some((file) => /worker/.test(file.fileName))) throw new Error("Vite did not recognise the SharedWorker");
  const chunks = new Map(output.map((file) => [file.fileName, file]));
  const loaded = new Set(output.filter((file) => file.isEntry).map((file) => file.fileName));
  for (const name of loaded) for (const imported of chunks.get(name).imports) loaded.add(imported);
  return [...loaded].reduce((sum, name) => sum + gzipped(chunks.get(name).code), 0);
}

function gzipped(content) {
  return gzipSync(content, { level: 9 }).length;
}

if (process.argv[1] === import.meta.filename) {
  for (const { label, bytes, target, ceiling } of await sizes()) {
    const over = bytes > ceiling;
    const verdict = over ? "over" : bytes > target ? "miss" : "ok";
    const kilobytes = (bytes / KB).toFixed(1);
    console.log(
      `${verdict.padEnd(4)}  ${label.padEnd(34)} ${kilobytes} KB, wanted ${target / KB}, at most ${ceiling / KB}`,
    );
    if (over) process.exitCode = 1;
  }
}
