/**
 * Writes THIRD_PARTY_LICENSES.md: the licence of everything that is bundled into dist/.
 * `--check` writes nothing, and fails when the file is out of date or dist/ holds a package that it does not name.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";

const FILE = "THIRD_PARTY_LICENSES.md";
const BUNDLED = ["broadcast-channel", "comlink", "commander", "compare-versions", "croner", "dexie", "ora"];
const LICENCE_FILE = /^(licen[cs]e|notice)([.-]|$)/i;

const folders = [...closure(BUNDLED)].sort((a, b) => (title(a) < title(b) ? -1 : 1));
const text = [
  "# Third-party licences",
  "The files in `dist/` contain code of these packages. Written by `npm run licenses`.",
  ...folders.map(section),
].join("\n\n");

if (process.argv.includes("--check")) check();
else writeFileSync(FILE, `${text}\n`);

/** The folders of packages and of all that they need, as they find them. @returns {Set<string>} */
function closure(names, from = "", seen = new Set()) {
  for (const name of names) {
    const folder = found(name, from);
    if (seen.has(folder)) continue;
    seen.add(folder);
    closure(Object.keys(manifest(folder).dependencies ?? {}), folder, seen);
  }
  return seen;
}

/** A package may bring its own version of another. */
function found(name, from) {
  const nested = `${from}/node_modules/${name}`.replace(/^\//, "");
  if (existsSync(`${nested}/package.json`)) return nested;
  if (from === "") throw new Error(`${name} is not installed`);
  return found(name, from.slice(0, Math.max(0, from.lastIndexOf("/node_modules/"))));
}

function manifest(folder) {
  return JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
}

function title(folder) {
  const { name, version, license } = manifest(folder);
  return `${name} ${version} (${license})`;
}

function section(folder) {
  const files = readdirSync(folder).filter((file) => LICENCE_FILE.test(file));
  if (files.length === 0) throw new Error(`${folder} comes without a licence file`);
  const texts = files.map((file) => readFileSync(`${folder}/${file}`, "utf8").replaceAll("\r\n", "\n").trim());
  return [`## ${title(folder)}`, ...texts.map((body) => "```text\n" + body + "\n```")].join("\n\n");
}

function check() {
  const current = existsSync(FILE) ? readFileSync(FILE, "utf8") : "";
  if (current !== `${text}\n`) fail(`${FILE} is out of date: npm run licenses`);
  for (const map of readdirSync("dist").filter((file) => file.endsWith(".js.map"))) {
    for (const source of JSON.parse(readFileSync(`dist/${map}`, "utf8")).sources) {
      const folder = /node_modules\/(?:.*\/node_modules\/)?(?:@[^/]+\/)?[^/]+/.exec(source)?.[0];
      if (folder && !folders.includes(folder)) fail(`dist/${map} contains ${folder}: add it to BUNDLED`);
    }
  }
}

function fail(message) {
  console.error(message);
  process.exitCode = 1;
}
