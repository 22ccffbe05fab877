import type { Primitive } from "./primitive.js";

export const ratelimit: Primitive<object, "ratelimit"> = {
  kind: "ratelimit",
  fixed: [],
  create: () => ({}),
  configure() {},
  restore() {},
  dueAt: () => Infinity,
  wake() {},
  release() {},
  owners: () => [],
  rules: { "ratelimit.stats": { run: () => null } },
};
