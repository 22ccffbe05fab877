import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Plugin, defineConfig } from "vite";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Each panel's markup lies beside its code; the page is put together from them. */
const includes: Plugin = {
  name: "playground:includes",
  transformIndexHtml: {
    order: "pre",
    handler: (html) =>
      html.replaceAll(/<!-- include (\S+) -->/g, (_, path: string) => readFileSync(here(path), "utf8")),
  },
};

/** `tabloom` is this repository's own package: the playground runs on what was built into ../dist. */
export default defineConfig({
  root: here("."),
  base: "./",
  plugins: [includes],
  // Bundled ahead, the package would look for worker.js in Vite's cache.
  optimizeDeps: { exclude: ["tabloom"] },
  server: { fs: { allow: [here("..")] } },
  worker: { format: "es" },
  build: {
    target: "es2022",
    outDir: "dist",
    emptyOutDir: true,
    rolldownOptions: { input: [here("index.html"), here("crashed.html")] },
  },
});
