import { sizes } from "../scripts/size.mjs";
import { type Row, compare } from "./report.js";

/** P17: what an app downloads. Measures dist/, so `npm run build` comes before. */
export async function size(): Promise<Row[]> {
  return (await sizes()).map(({ label, bytes, target }) =>
    compare({
      target: "P17",
      label: `${label}, min+gzip`,
      unit: "KB",
      ours: [bytes / 1000],
      wants: `≤ ${target / 1000} KB`,
      met: () => bytes <= target,
    }),
  );
}
