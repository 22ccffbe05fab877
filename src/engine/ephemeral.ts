import type { Primitive } from "./primitive.js";

export const ephemeral: Primitive<object, "ephemeral"> = {
  kind: "ephemeral",
  fixed: [],
  create: () => ({}),
  configure() {},
  restore() {},
  dueAt: () => Infinity,
  wake() {},
  release() {},
  owners: () => [],
  rules: { "ephemeral.stats": { run: () => null } },
};
