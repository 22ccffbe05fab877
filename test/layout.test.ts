import { readFileSync, readdirSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { parseSync, Visitor } from "vite";
import { describe, expect, it } from "vitest";

const SRC = resolve(import.meta.dirname, "../src");
const MAX_LINES = 400;
/** The entries: they only assemble, and may import anything. */
const TOP = ".";

/** What each folder may import besides itself. */
const DIRECTIONS: Record<string, readonly string[]> = {
  protocol: [],
  cron: ["protocol"],
  engine: ["protocol", "cron"],
  store: ["protocol"],
  transport: ["protocol"],
  hosting: ["protocol", "transport"],
  client: ["protocol", "transport", "hosting"],
  worker: ["engine", "store", "hosting", "transport", "protocol"],
  memory: ["engine", "store", "client", "protocol"],
  redis: ["client", "cron", "protocol"],
  cli: ["redis", "client", "protocol"],
};

/** The one file that knows each library. */
const LIBRARIES: Record<string, string> = {
  "broadcast-channel": "transport/broadcast.ts",
  comlink: "transport/comlink.ts",
  commander: "cli/program.ts",
  "compare-versions": "hosting/rank.ts",
  croner: "cron/cron.ts",
  dexie: "store/database.ts",
  ioredis: "redis/client.ts",
  ora: "cli/program.ts",
};

const files = readdirSync(SRC, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts") && !/\.test(-d)?\.ts$/.test(path))
  .map((path) => ({
    path,
    folder: path.includes("/") ? path.split("/")[0]! : TOP,
    code: readFileSync(join(SRC, path), "utf8"),
  }));

type SourceFile = (typeof files)[number];

describe("the layout of src", () => {
  it("has a rule for every folder", () => {
    const folders = new Set(files.map(({ folder }) => folder));
    folders.delete(TOP);
    expect([...folders].filter((folder) => !(folder in DIRECTIONS))).toEqual([]);
  });

  it("has imports in the allowed directions only", () => {
    const wrong = files.flatMap((file) =>
      specifiers(file)
        .filter((specifier) => !allowed(file, specifier))
        .map((specifier) => `${file.path} imports ${specifier}`),
    );
    expect(wrong).toEqual([]);
  });

  it(`has no file of more than ${MAX_LINES} lines`, () => {
    const long = files.map(({ path, code }) => ({ path, lines: code.trimEnd().split("\n").length }));
    expect(long.filter(({ lines }) => lines > MAX_LINES)).toEqual([]);
  });
});

function allowed({ path, folder }: SourceFile, specifier: string): boolean {
  if (!specifier.startsWith(".")) return LIBRARIES[specifier] === path;
  const target = relative(SRC, resolve(SRC, dirname(path), specifier));
  const targetFolder = target.includes("/") ? target.split("/")[0]! : TOP;
  return folder === TOP || folder === targetFolder || (DIRECTIONS[folder] ?? []).includes(targetFolder);
}

/** Everything named in an import or re-export of any form, types included. */
function specifiers({ path, code }: SourceFile): string[] {
  const found: string[] = [];
  const add = (node: { source: unknown }): void => {
    const source = node.source as { value?: unknown } | null;
    if (source) found.push(String(source.value));
  };
  const { program } = parseSync(path, code);
  new Visitor({
    ImportDeclaration: add,
    ExportNamedDeclaration: add,
    ExportAllDeclaration: add,
    ImportExpression: add,
    TSImportType: add,
  }).visit(program);
  return found;
}
