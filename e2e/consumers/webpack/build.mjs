import { copyFileSync } from "node:fs";
import { resolve } from "node:path";
import webpack from "webpack";

const output = { path: resolve("dist"), filename: "main.js" };
webpack({ mode: "production", entry: "./src/index.js", output }, (error, stats) => {
  if (error || stats.hasErrors()) throw error ?? new Error(stats.toString());
  copyFileSync("index.html", "dist/index.html");
});
