import type { Primitive } from "./primitive.js";

export const mutex: Primitive<object, "mutex"> = {
  kind: "mutex",
  fixed: [],
  create: () => ({}),
  configure() {},
  restore() {},
  dueAt: () => Infinity,
  wake() {},
  release() {},
  owners: () => [],
  rules: { "mutex.stats": { run: () => null } },
};
