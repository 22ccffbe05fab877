/** What an app downloads of the package, minified and gzipped. Fails above the targets; `npm run build` comes before. */
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { build } from "vite";

const KB = 1000;

/** @returns {Promise<{ label: string, bytes: number, limit: number }[]>} */
export async function sizes() {
  return [
    {
      label: 'import { queue } from "tabloom"',
      bytes: await appSize('import { queue } from "tabloom"; globalThis.kept = queue;'),
      limit: 14 * KB,
    },
    {
      label: 'import * as all from "tabloom"',
      bytes: await appSize('import * as all from "tabloom"; globalThis.kept = { ...all };'),
      limit: 20 * KB,
    },
    { label: "worker.js", bytes: gzipped(readFileSync("dist/worker.js")), limit: 60 * KB },
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
  for (const { label, bytes, limit } of await sizes()) {
    const over = bytes > limit;
    console.log(`${over ? "over" : "ok  "}  ${label.padEnd(34)} ${(bytes / KB).toFixed(1)} of ${limit / KB} KB`);
    if (over) process.exitCode = 1;
  }
}
