const SVG = "http://www.w3.org/2000/svg";
/** Beads per thread and pulse; more would be a blur. */
const MAX_BEADS = 4;

const threads = document.querySelector("#threads")!;
const still = matchMedia("(prefers-reduced-motion: reduce)");
const drawn = new Map<HTMLElement, { path: SVGPathElement; colour: string }>();

const onResize = new ResizeObserver(() => {
  for (const [chip, { path }] of drawn) path.setAttribute("d", course(chip));
});
onResize.observe(threads);

/** Draws a thread from each chip to the hub. */
export function tieThreads(chips: readonly HTMLElement[], colours: ReadonlyMap<string, string>): void {
  for (const [chip, { path }] of drawn) {
    if (chips.includes(chip)) continue;
    path.remove();
    onResize.unobserve(chip);
    drawn.delete(chip);
  }
  for (const chip of chips) {
    const colour = colours.get(chip.dataset["key"] ?? "") ?? "currentColor";
    const { path } = drawn.get(chip) ?? { path: threads.appendChild(document.createElementNS(SVG, "path")) };
    path.setAttribute("class", "thread");
    path.setAttribute("stroke", colour);
    drawn.set(chip, { path, colour });
    onResize.observe(chip);
  }
  // A chip that came or went moves the others.
  for (const [chip, { path }] of drawn) path.setAttribute("d", course(chip));
}

/** Lets beads run along a tab's thread: up to it what it handled, down to the hub what it sent. */
export function runThread(
  chip: HTMLElement,
  colour: string,
  { sent, handled }: { sent: number; handled: number },
): void {
  const thread = drawn.get(chip);
  if (!thread || still.matches) return;
  for (let i = 0; i < Math.min(sent, MAX_BEADS); i++) runBead(thread.path, colour, { down: true, delayMs: i * 110 });
  for (let i = 0; i < Math.min(handled, MAX_BEADS); i++)
    runBead(thread.path, colour, { down: false, delayMs: i * 110 });
}

function runBead(path: SVGPathElement, colour: string, { down, delayMs }: { down: boolean; delayMs: number }): void {
  const bead = document.createElementNS(SVG, "circle");
  bead.setAttribute("r", "4");
  bead.setAttribute("fill", colour);
  bead.style.offsetPath = `path("${path.getAttribute("d") ?? ""}")`;
  threads.append(bead);
  const along = down ? ["0%", "100%"] : ["100%", "0%"];
  const run = bead.animate(
    { offsetDistance: along, opacity: [0, 1, 1, 0] },
    { duration: 650, delay: delayMs, easing: "ease-in-out", fill: "both" },
  );
  run.addEventListener("finish", () => bead.remove());
}

/** From below the chip to the middle of the hub, as a hanging curve. */
function course(chip: HTMLElement): string {
  const frame = threads.getBoundingClientRect();
  const box = chip.getBoundingClientRect();
  const from = { x: box.left + box.width / 2 - frame.left, y: box.bottom - frame.top };
  // Spread over the middle of the hub, so that the threads arrive side by side.
  const middle = frame.width / 2;
  const to = { x: middle + (from.x - middle) * 0.22, y: frame.height };
  const bend = Math.max(24, (to.y - from.y) * 0.55);
  return `M${from.x} ${from.y} C${from.x} ${from.y + bend} ${to.x} ${to.y - bend} ${to.x} ${to.y}`;
}
