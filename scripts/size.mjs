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
    workerSize("worker.js"),
    workerSize("worker.global.js"),
    // Nobody downloads it: what a server, or a function that starts cold, has to read.
    { label: "tabloom/server, without ioredis", bytes: serverSize(), target: 160 * KB, ceiling: 160 * KB },
  ];
}

function workerSize(file) {
  return { label: file, bytes: gzipped(readFileSync(`dist/${file}`)), target: 60 * KB, ceiling: 88 * KB };
}

function serverSize() {
  const files = new Set(["server.js"]);
  for (const file of files) {
    const code = readFileSync(`dist/${file}`, "utf8");
    for (const [, chunk] of code.matchAll(/(?:from|import)\s*\(?"\.\/([^"]+)"/g)) files.add(chunk);
  }
  return [...files].reduce((sum, file) => sum + gzipped(readFileSync(`dist/${file}`)), 0);
}

/** What these lines add to an app that Vite builds, and that loads some part of its own on demand. */
async function appSize(code) {
  // Vite puts its loader of such parts into an app once, whoever needs it.
  const lazy = 'globalThis.load = () => import("part");';
  return (await loadedOf(`${lazy} ${code}`, { worker: true })) - (await loadedOf(lazy));
}

async function loadedOf(code, { worker = false } = {}) {
  const files = { app: code, part: "globalThis.part = 1;" };
  const app = {
    name: "app",
    resolveId: (id) => (id in files ? id : null),
    load: (id) => files[id],
  };
  const { output } = await build({
    configFile: false,
    logLevel: "error",
    plugins: [app],
    build: { write: false, target: "es2022", modulePreload: false, rolldownOptions: { input: "app" } },
  });
  if (worker && !output.some((file) => /worker/.test(file.fileName)))
    throw new Error("Vite did not recognise the SharedWorker");
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
