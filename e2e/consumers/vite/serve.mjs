/** `node serve.mjs preview|optimized|excluded`: serves the app on a free port, and prints where. */
import { createServer, preview } from "vite";

const how = process.argv[2];
const at = { host: "localhost", port: 0 };
const development = () => ({
  server: at,
  cacheDir: `node_modules/.vite-${how}`,
  // Vite looks for packages in pages, not in workers: it would find this one late, and reload the page.
  optimizeDeps: how === "excluded" ? { exclude: ["tabloom", "tabloom/worker"] } : { include: ["tabloom/worker"] },
});

const server = how === "preview" ? await preview({ preview: at }) : await (await createServer(development())).listen();
const [origin] = server.resolvedUrls.local;
// Vite reads a file when it is first asked for. On a busy machine that outlasts a tab's patience with a SharedWorker.
for (const file of ["node_modules/tabloom/dist/worker.js", "src/hub.ts"]) {
  if (how !== "preview") await fetch(`${origin}${file}?worker_file&type=module`);
}
console.log(origin);
