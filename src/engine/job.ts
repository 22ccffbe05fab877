import type { Primitive } from "./primitive.js";

export const job: Primitive<object, "job"> = {
  kind: "job",
  fixed: [],
  create: () => ({}),
  configure() {},
  restore() {},
  dueAt: () => Infinity,
  wake() {},
  release() {},
  owners: () => [],
  rules: { "job.stats": { run: () => null } },
};
