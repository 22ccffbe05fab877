/** Rounds after the warm-up. */
export const ROUNDS = 5;

type Sides = Record<string, () => Promise<unknown>>;
type Figures<S extends Sides> = { [Side in keyof S]: Awaited<ReturnType<S[Side]>>[] };

/** Takes every side in turn, A B A B: what the machine does meanwhile hits all of them. The first turn is a warm-up. */
export async function interleave<S extends Sides>(sides: S, rounds = ROUNDS): Promise<Figures<S>> {
  const names = Object.keys(sides) as (keyof S)[];
  const figures = Object.fromEntries(names.map((name) => [name, [] as unknown[]])) as Figures<S>;
  for (let round = 0; round <= rounds; round++) {
    for (const name of names) {
      const figure = (await sides[name]!()) as Figures<S>[keyof S][number];
      if (round > 0) figures[name].push(figure);
    }
  }
  return figures;
}

/** Of each `count` figures in a row. */
export function means(figures: readonly number[], count: number): number[] {
  const sums: number[] = [];
  figures.forEach((figure, i) => (sums[Math.floor(i / count)] = (sums[Math.floor(i / count)] ?? 0) + figure));
  return sums.map((sum) => sum / count);
}

export function median(figures: readonly number[]): number {
  return quantile(figures, 0.5);
}

/** Interpolated between the two samples next to the place. */
export function quantile(figures: readonly number[], q: number): number {
  const sorted = [...figures].sort((a, b) => a - b);
  const place = (sorted.length - 1) * q;
  const below = sorted[Math.floor(place)]!;
  return below + (sorted[Math.ceil(place)]! - below) * (place - Math.floor(place));
}

/**
 * A quantile of times from a clock that ticks coarsely (pages see steps of 0.1 ms): samples of one tick are taken as
 * spread evenly over it.
 */
export function quantileOfTicks(samples: readonly number[], q: number, tick = 0.1): number {
  const ticks = samples.map((sample) => Math.round(sample / tick));
  const wanted = samples.length * q;
  let below = 0;
  for (const at of [...new Set(ticks)].sort((a, b) => a - b)) {
    const count = ticks.filter((other) => other === at).length;
    if (below + count >= wanted) return (at - 0.5 + (wanted - below) / count) * tick;
    below += count;
  }
  return Math.max(...samples);
}
