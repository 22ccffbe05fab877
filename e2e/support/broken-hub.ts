import { readFileSync } from "node:fs";
import { type Plugin, build } from "vite";

/** A bug: in a file of src, something else in place of this text. */
export interface Plant {
  file: string;
  text: string;
  becomes: string;
}

let built = 0;

/** Builds the hub as it is published, but for a bug; returns the address of its worker. */
export function buildBrokenHub(plants: readonly Plant[]): Promise<string> {
  return buildHub({ plants });
}

/** Builds the hub of another version, or with bugs; returns the address of its worker. */
export async function buildHub({
  plants = [],
  version,
}: {
  plants?: readonly Plant[];
  version?: string;
}): Promise<string> {
  for (const { file, text } of plants) {
    // A bug that is not planted would look like one that is not found.
    if (!readFileSync(`src/${file}`, "utf8").includes(text)) throw new Error(`src/${file} does not say: ${text}`);
  }
  const planting: Plugin = {
    name: "planted-bug",
    enforce: "pre",
    transform(code, id) {
      const here = plants.filter(({ file }) => id.endsWith(`/src/${file}`));
      return here.length > 0 ? here.reduce((text, plant) => text.replace(plant.text, plant.becomes), code) : null;
    },
  };
  const folder = `.out/broken-hubs/${++built}`;
  await build({
    mode: "worker",
    logLevel: "error",
    plugins: [planting],
    build: { outDir: folder },
    ...(version ? { define: { __VERSION__: JSON.stringify(version) } } : {}),
  });
  return `/${folder}/worker.js`;
}
