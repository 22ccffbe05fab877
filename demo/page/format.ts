const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const clock = new Intl.DateTimeFormat("en", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});

export const count = (n: number): string => whole.format(n);
export const timeOfDay = (at: number): string => clock.format(at);
export const plural = (n: number, one: string, many = `${one}s`): string => `${count(n)} ${n === 1 ? one : many}`;

/** Three figures at most: 0.42 ms, 12.3 ms, 1.24 s. */
export function duration(ms: number): string {
  if (ms >= 119_500) return `${whole.format(ms / 60_000)} min`;
  if (ms >= 1000) return `${threeFigures(ms / 1000)} s`;
  return `${threeFigures(ms)} ms`;
}

function threeFigures(value: number): string {
  if (value >= 99.5) return whole.format(value);
  return value.toFixed(value >= 9.95 ? 1 : 2).replace(/\.?0+$/, "");
}

/** The value below which `share` of the samples lie. */
export function quantile(samples: readonly number[], share: number): number | undefined {
  if (samples.length === 0) return undefined;
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}
