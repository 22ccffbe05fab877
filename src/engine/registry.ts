import type { Primitive } from "./primitive.js";

export const registry: Primitive<object, "registry"> = {
  kind: "registry",
  fixed: [],
  create: () => ({}),
  configure() {},
  restore() {},
  dueAt: () => Infinity,
  wake() {},
  release() {},
  owners: () => [],
  rules: { "registry.stats": { run: () => null } },
};
