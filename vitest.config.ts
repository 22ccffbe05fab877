import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import manifest from "./package.json" with { type: "json" };

export default defineConfig({
  define: { __VERSION__: JSON.stringify(manifest.version) },
  // Snippets of the docs run on the memory flavour.
  resolve: { alias: { tabloom: fileURLToPath(new URL("src/memory.ts", import.meta.url)) } },
  test: {
    globalSetup: ["test/conformance/table.setup.ts"],
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["src/**/*.test.ts", "test/**/*.test.ts"],
          environment: "node",
          // Vitest leaves one core free, which of CI's two is half. Much of this waits.
          maxWorkers: 2,
        },
      },
      {
        extends: true,
        test: {
          name: "e2e",
          include: ["e2e/**/*.e2e.ts"],
          environment: "node",
          // One browser at a time, and after the unit tests: the cases measure time, and CI has two cores.
          fileParallelism: false,
          sequence: { groupOrder: 1 },
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        // Not in `npm test`: needs three browsers. `npm run test:engines` runs it.
        extends: true,
        test: {
          name: "engines",
          include: ["e2e/engines/*.engines.ts"],
          globalSetup: ["e2e/engines/builds.setup.ts"],
          environment: "node",
          hookTimeout: 60_000,
        },
      },
      {
        // Not in `npm test`: minutes of it. `npm run test:chaos` runs it.
        extends: true,
        test: { name: "chaos", include: ["e2e/chaos/*.chaos.ts"], environment: "node", hookTimeout: 60_000 },
      },
    ],
  },
});
