import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** `tabloom` is this repository's own package: the playground runs on what was built into ../dist. */
export default defineConfig({
  root: here("."),
  base: "./",
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
