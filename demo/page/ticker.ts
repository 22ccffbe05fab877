/** Timers outside the page: a hidden page's own are held back to one per second, later to one per minute. */
addEventListener("message", ({ data }: MessageEvent<{ id: number; ms: number }>) => {
  setTimeout(() => postMessage(data.id), data.ms);
});
