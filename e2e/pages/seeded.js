/** Random numbers that a seed decides (mulberry32). */
export function seeded(seed) {
  const random = () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const int = (min, max) => min + Math.floor(random() * (max - min + 1));
  return { int, chance: (p) => random() < p, pick: (list) => list[int(0, list.length - 1)] };
}
