/** Replaced when the package is built (vite.config.ts). */
declare const __VERSION__: string;
/** `new URL("./worker.js", import.meta.url)`, spelled out in the built file so that bundlers see it. */
declare const __WORKER_URL__: URL;
