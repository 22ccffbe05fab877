/**
 * Keeps those of the declarations in dist/types that an entry reaches. They may import only each other: the package
 * has no dependencies, so a type of a bundled library would not resolve where it is installed.
 */
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

const ROOT = join("dist", "types");
const IMPORT = /(?:\bfrom|\bimport)\s*\(?\s*["']([^"']+)["']/g;

const { exports } = JSON.parse(readFileSync("package.json", "utf8"));
const entries = Object.values(exports).flatMap((entry) => (entry.types ? [normalize(entry.types)] : []));

const reached = new Set();
for (const entry of entries) visit(entry);

const written = readdirSync(ROOT, { recursive: true }).map((file) => join(ROOT, file));
for (const file of written) if (file.endsWith(".d.ts") && !reached.has(file)) rmSync(file);

function visit(file) {
  if (reached.has(file)) return;
  reached.add(file);
  const code = readFileSync(file, "utf8").replace(/\/\*[\s\S]*?\*\//g, ""); // Examples in docstrings import tabloom.
  for (const [, specifier] of code.matchAll(IMPORT)) {
    if (!specifier.startsWith(".")) throw new Error(`${file} imports a type of "${specifier}"`);
    visit(join(dirname(file), specifier.replace(/\.js$/, ".d.ts")));
  }
}
