/**
 * Keeps those of the declarations in dist/types that an entry reaches. They may import only each other: the package
 * has no dependencies, so a type of a bundled library would not resolve where it is installed. `tabloom/server` takes
 * clients of ioredis; no other entry may reach its types, or Node's.
 *
 * And gives the entries' factories their docstrings: `queue` of each entry is what `createQueueFactory` returns, and the
 * compiler leaves behind what is written there.
 */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

const ROOT = join("dist", "types");
const FACTORY = /^export declare const (\w+): (?:\{.*?^\}|[^\n]*);$/gms;
const IMPORT = /(?:\bfrom|\bimport)\s*\(?\s*["']([^"']+)["']/g;

const { exports } = JSON.parse(readFileSync("package.json", "utf8"));
const entries = Object.values(exports).flatMap((entry) => (entry.types ? [normalize(entry.types)] : []));

const PEERS = { "dist/types/server.d.ts": ["ioredis"] };

const reached = new Set();
for (const entry of entries) visit(entry, PEERS[entry] ?? [], new Set());

const written = readdirSync(ROOT, { recursive: true }).map((file) => join(ROOT, file));
for (const file of written) if (file.endsWith(".d.ts") && !reached.has(file)) rmSync(file);

for (const entry of entries) writeFileSync(entry, readFileSync(entry, "utf8").replace(FACTORY, documented));

/** With overloads, editors show the docstring of the one that is called. */
function documented(declaration, name) {
  const source = join("src", "client", `${name}.ts`);
  if (!existsSync(source)) return declaration;
  const own = new RegExp(`^  (/\\*\\*(?:(?!\\*/).)*\\*/)\n  (?:return )?function ${name}\\b`, "gms");
  const docs = [...readFileSync(source, "utf8").matchAll(own)].map(([, doc]) => doc.replace(/^  /gm, ""));
  if (docs.length === 0) throw new Error(`${source}: function ${name} has no docstring`);
  let overload = 0;
  const signatures = declaration.replace(
    /^    (?=<)/gm,
    () => `${docs[overload++]}\n`.replace(/^(?=.)/gm, "    ") + "    ",
  );
  return `${docs.at(-1)}\n${signatures}`;
}

function visit(file, peers, seen) {
  if (seen.has(file)) return;
  seen.add(file);
  reached.add(file);
  const text = readFileSync(file, "utf8");
  const code = text.replace(/\/\*[\s\S]*?\*\//g, ""); // Examples in docstrings import tabloom.
  if (/\bNodeJS\.|<reference types="node"/.test(text)) throw new Error(`${file} needs the types of Node`);
  for (const [, specifier] of code.matchAll(IMPORT)) {
    if (peers.includes(specifier)) continue;
    if (!specifier.startsWith(".")) throw new Error(`${file} imports a type of "${specifier}"`);
    visit(join(dirname(file), specifier.replace(/\.js$/, ".d.ts")), peers, seen);
  }
}
