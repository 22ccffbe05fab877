/** What the pages of the engines' tests load, beside the package as it is in dist. */
import { mkdirSync, writeFileSync } from "node:fs";
import { build } from "vite";

/** The package of a later release: the same code under another version. */
export const NEWER = { version: "99.0.0", folder: "/.out/engines/newer" } as const;

/** Builds the newer package, and for both a worker file whose hub can be disturbed. */
export async function buildVariants(): Promise<void> {
  const outDir = NEWER.folder.slice(1);
  const shared = { logLevel: "error", define: { __VERSION__: JSON.stringify(NEWER.version) } } as const;
  await build({ ...shared, build: { outDir, emptyOutDir: true } });
  await build({ ...shared, mode: "worker", build: { outDir } });
  mkdirSync(".out/engines", { recursive: true });
  for (const folder of ["/dist", NEWER.folder]) {
    const file = `.out/engines/steered${folder.replaceAll("/", "-")}.js`;
    writeFileSync(file, `import "/e2e/pages/edge.js";\nimport "${folder}/worker.js";\n`);
  }
}
