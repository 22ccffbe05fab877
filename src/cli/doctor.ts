import { gatherFacts } from "./facts.js";
import { type Finding, judge } from "./findings.js";
import { type PlaceOptions, findPlace } from "./place.js";
import { type Terminal, columns } from "./terminal.js";

/** Looks at a server; the exit code is 1 when something is wrong. */
export async function doctor(options: PlaceOptions & { json?: boolean }, terminal: Terminal): Promise<number> {
  const place = await findPlace(options);
  try {
    const facts = await gatherFacts(place);
    const findings = judge(facts);
    const ok = findings.every(({ state }) => state !== "wrong");
    if (options.json) terminal.out(JSON.stringify({ redis: place.where, prefix: place.prefix, ok, findings }, null, 2));
    else for (const line of report(place.where, findings)) terminal.out(line);
    return ok ? 0 : 1;
  } finally {
    place.cluster?.disconnect();
    place.connection.disconnect();
  }
}

function report(where: string, findings: readonly Finding[]): string[] {
  const rows = findings.flatMap(({ state, name, found, atRisk, todo }) => [
    [state, name, found],
    ...(atRisk === undefined ? [] : [["", "", `at risk: ${atRisk}`]]),
    ...(todo === undefined || state === "ok" ? [] : [["", "", `to do: ${todo}`]]),
  ]);
  const count = (wanted: Finding["state"]): number => findings.filter(({ state }) => state === wanted).length;
  return [where, "", ...columns(rows), "", `${count("wrong")} wrong, ${count("risk")} at risk, ${count("ok")} fine`];
}
