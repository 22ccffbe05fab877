import { chromium } from "./chromium.js";
import { playMatrix } from "./matrix.js";

playMatrix(chromium());
