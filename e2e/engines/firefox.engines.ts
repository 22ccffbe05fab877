import { firefox } from "./firefox.js";
import { playMatrix } from "./matrix.js";

playMatrix(firefox());
