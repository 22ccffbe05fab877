import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test, vi } from "vitest";

/** Snippets that are marked `ts run`, and the README's start, do what they say: here, on the memory flavour. */
const PRIMITIVES = readdirSync("docs/primitives").map((file) => join("docs/primitives", file));
const PAGES = ["README.md", "docs/stores.md", "docs/inspect.md", "docs/storage.md", ...PRIMITIVES];
const OUT = ".out/snippets";
const HEADINGS = ["Options", "Calls", "Behaviour", "Errors", "On other backends"];

function snippetsOf(page: string): string[] {
  const marked = /```ts run\n([\s\S]*?)```/g;
  const first = /```ts\n([\s\S]*?)```/;
  const text = readFileSync(page, "utf8");
  if (page === "README.md") return [first.exec(text)![1]!];
  return [...text.matchAll(marked)].map(([, code]) => code!);
}

describe("snippets run", () => {
  mkdirSync(OUT, { recursive: true });
  for (const page of PAGES) {
    snippetsOf(page).forEach((code, i) => {
      test(`${page}, ${i + 1}`, async () => {
        const file = join(OUT, `${page.replaceAll(/\W/g, "-")}-${i + 1}.ts`);
        // console.assert only prints; here it counts.
        writeFileSync(file, `import assert from "node:assert";\n${code.replaceAll("console.assert(", "assert(")}`);
        // Each is an app of its own.
        vi.resetModules();
        await import(resolve(file));
      });
    });
  }
});

describe("pages of primitives", () => {
  for (const page of PRIMITIVES) {
    test(`${page} has the headings of all`, () => {
      const headings = [...readFileSync(page, "utf8").matchAll(/^## (.*)$/gm)].map(([, heading]) => heading);
      expect(headings).toEqual(HEADINGS);
    });
  }
});
