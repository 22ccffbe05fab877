import { webkit } from "./webkit.js";
import { playMatrix } from "./matrix.js";

playMatrix(webkit());
