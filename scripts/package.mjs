/** What must hold of the files that are published, and no tool looks at. `npm run build` comes before. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { Script } from "node:vm";
import { parseSync } from "vite";

const { bin, exports } = JSON.parse(readFileSync("package.json", "utf8"));
const [pack] = JSON.parse(execFileSync("npm", ["pack", "--dry-run", "--json"], { encoding: "utf8" }));
const packed = pack.files.map((file) => file.path);
const scripts = packed.filter((path) => /^dist\/[^/]+\.js$/.test(path));
const text = (path) => readFileSync(path, "utf8");

const bins = Object.values(bin).map((path) => `./${path}`);
const targets = [...bins, ...Object.values(exports)].flatMap((entry) =>
  typeof entry === "string" ? [entry] : Object.values(entry),
);
const required = ["README.md", "LICENSE", "THIRD_PARTY_LICENSES.md", ...targets.map((path) => path.slice(2))];
for (const path of required) expect(packed.includes(path), `${path} is not in the package`);

for (const path of packed) {
  expect(!/\.test(-d)?\.|^(src|test|e2e|bench|demo)\//.test(path), `${path} is in the package`);
  expect(!/^dist\/(?!types\/).*\//.test(path), `${path}: the files of dist/ must lie beside worker.js`);
}

/** What an entry may import besides files of the package: what comes with Node, and what the app installs beside it. */
const PEERS = { "dist/server.js": /^(ioredis|node:\w+)$/, "dist/cli.js": /^(ioredis|(node:)?[\w/]+)$/ };

for (const entry of scripts.filter((path) => !path.startsWith("dist/shared-"))) {
  for (const path of reachedFrom(entry)) {
    for (const specifier of imports(path)) {
      const known = specifier.startsWith("./") || PEERS[entry]?.test(specifier);
      expect(known, `${entry} reaches ${path}, which imports "${specifier}"`);
    }
  }
}

for (const path of scripts) {
  expect(!/__(WORKER_URL|VERSION)__/.test(text(path)), `${path}: a constant was not replaced`);
}

expect(imports("dist/worker.js").length === 0, "dist/worker.js imports something: workers have no import map");
expect(text("dist/worker.js").length > 4096, "dist/worker.js is so small that Vite would inline it");
const classic = text("dist/worker.global.js");
expect(!throws(() => new Script(classic)), "dist/worker.global.js is no classic script");
const started = /new SharedWorker\(\s*new URL\("\.\/worker\.js", import\.meta\.url\),\s*\{\s*type: "module"/;
expect(
  scripts.some((path) => started.test(text(path))),
  "no file starts the worker in the words that bundlers look for",
);

expect(text("dist/cli.js").startsWith("#!/usr/bin/env node\n"), "dist/cli.js does not say what runs it");

console.log(`${pack.filename}: ${packed.length} files, ${Math.round(pack.size / 1000)} KB packed`);

function reachedFrom(entry) {
  const reached = new Set([entry]);
  for (const path of reached) {
    for (const specifier of imports(path)) if (specifier.startsWith("./")) reached.add(`dist/${specifier.slice(2)}`);
  }
  return reached;
}

function imports(path) {
  const { staticImports, staticExports, dynamicImports } = parseSync(path, text(path)).module;
  const reexports = staticExports.flatMap((statement) => statement.entries);
  const named = [...staticImports, ...reexports].flatMap(({ moduleRequest }) =>
    moduleRequest ? [moduleRequest.value] : [],
  );
  const dynamic = dynamicImports.map(({ moduleRequest: { start, end } }) => text(path).slice(start + 1, end - 1));
  return [...named, ...dynamic];
}

function throws(run) {
  try {
    run();
    return false;
  } catch {
    return true;
  }
}

function expect(holds, message) {
  if (holds) return;
  console.error(message);
  process.exitCode = 1;
}
