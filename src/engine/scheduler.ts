import type { Primitive } from "./primitive.js";

export const scheduler: Primitive<object, "scheduler"> = {
  kind: "scheduler",
  fixed: [],
  create: () => ({}),
  configure() {},
  restore() {},
  dueAt: () => Infinity,
  wake() {},
  release() {},
  owners: () => [],
  rules: { "scheduler.stats": { run: () => null } },
};
