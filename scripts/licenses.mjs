/**
 * Writes THIRD_PARTY_LICENSES.md: the licence of everything that is bundled into dist/.
 * `--check` writes nothing, and fails when the file is out of date or dist/ holds a package that it does not name.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";

const FILE = "THIRD_PARTY_LICENSES.md";
const BUNDLED = ["broadcast-channel", "comlink", "compare-versions", "croner", "dexie"];
const LICENCE_FILE = /^(licen[cs]e|notice)(\.|$)/i;

const packages = [...closure(BUNDLED)].sort();
const text = [
  "# Third-party licences",
  "The files in `dist/` contain code of these packages. Written by `npm run licenses`.",
  ...packages.map(section),
].join("\n\n");

if (process.argv.includes("--check")) check();
else writeFileSync(FILE, `${text}\n`);

/** @returns {Set<string>} */
function closure(names, seen = new Set()) {
  for (const name of names) {
    if (seen.has(name)) continue;
    seen.add(name);
    closure(Object.keys(manifest(name).dependencies ?? {}), seen);
  }
  return seen;
}

function manifest(name) {
  return JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8"));
}

function section(name) {
  const { version, license } = manifest(name);
  const files = readdirSync(`node_modules/${name}`).filter((file) => LICENCE_FILE.test(file));
  if (files.length === 0) throw new Error(`${name} comes without a licence file`);
  const texts = files.map((file) =>
    readFileSync(`node_modules/${name}/${file}`, "utf8").replaceAll("\r\n", "\n").trim(),
  );
  return [`## ${name} ${version} (${license})`, ...texts.map((body) => "```text\n" + body + "\n```")].join("\n\n");
}

function check() {
  const current = existsSync(FILE) ? readFileSync(FILE, "utf8") : "";
  if (current !== `${text}\n`) fail(`${FILE} is out of date: npm run licenses`);
  for (const map of readdirSync("dist").filter((file) => file.endsWith(".js.map"))) {
    for (const source of JSON.parse(readFileSync(`dist/${map}`, "utf8")).sources) {
      const name = /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(source)?.[1];
      if (name && !packages.includes(name)) fail(`dist/${map} contains ${name}: add it to BUNDLED`);
    }
  }
}

function fail(message) {
  console.error(message);
  process.exitCode = 1;
}
