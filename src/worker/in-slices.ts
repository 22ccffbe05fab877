/** Longer than this a hub that starts leaves nobody without an answer: a hub that is silent is taken for dead. */
const SLICE_MS = 50;

/** Does what a generator does, and lets others run in between. */
export async function inSlices<Result>(steps: Generator<undefined, Result>): Promise<Result> {
  for (let began = performance.now(); ;) {
    const { done, value } = steps.next();
    if (done) return value;
    if (performance.now() - began < SLICE_MS) continue;
    await new Promise((resolve) => setTimeout(resolve));
    began = performance.now();
  }
}
