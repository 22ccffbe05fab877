export { buildVariants as setup } from "./builds.js";
