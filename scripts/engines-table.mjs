/** Makes one table of what the engines' runs left behind: fault × engine × mode, and every reason below it. */

const MARKS = { passed: "ok", failed: "FAILED", impossible: "no way" };

/**
 * @param {{ engine: string, version: string, cells: { fault: string, checks: string, mode: string, result: string, words: string[], ms: number }[] }[]} runs
 * @returns {{ text: string, passed: number, failed: number }}
 */
export function tableOf(runs) {
  const notes = [];
  const noteOf = (words) => {
    if (words === "") return "";
    if (!notes.includes(words)) notes.push(words);
    return ` [${notes.indexOf(words) + 1}]`;
  };
  const all = runs.flatMap(({ engine, cells }) => cells.map((cell) => ({ engine, ...cell })));
  const columns = runs.map(({ engine, version }) => ({ engine, title: version || engine }));
  const rows = new Map();
  for (const { fault, checks, mode } of all) rows.set(`${fault}\n${mode}`, { fault, checks, mode });

  const lines = [["fault", "mode", ...columns.map(({ title }) => title)]];
  for (const { fault, mode } of rows.values()) {
    const marks = columns.map(({ engine }) => {
      const cell = all.find((one) => one.engine === engine && one.fault === fault && one.mode === mode);
      return cell ? MARKS[cell.result] + noteOf(cell.words.join("; ")) : "not run";
    });
    lines.push([fault, mode, ...marks]);
  }
  const widths = lines[0].map((_, i) => Math.max(...lines.map((line) => line[i].length)));
  const shown = lines.map((line) =>
    line
      .map((word, i) => word.padEnd(widths[i]))
      .join("  ")
      .trimEnd(),
  );
  const checked = [...new Map([...rows.values()].map(({ fault, checks }) => [fault, checks]))];
  const text = [
    ...shown,
    "",
    ...notes.map((words, i) => `[${i + 1}] ${words}`),
    "",
    "What was looked at:",
    ...checked.map(([fault, checks]) => `- ${fault}: ${checks}`),
  ].join("\n");
  const count = (result) => all.filter((cell) => cell.result === result).length;
  return { text, passed: count("passed"), failed: count("failed") };
}
