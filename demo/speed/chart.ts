import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { byId } from "../page/dom.js";
import { count, duration } from "../page/format.js";

const HEIGHT = 190;

export interface Lines {
  sent: (number | null)[];
  handled: (number | null)[];
}

export interface ChartOptions {
  /** Small and large values are told apart on a logarithmic axis. */
  scale: "linear" | "log";
  /** How values of the axis are written. */
  unit: "messages" | "ms";
  /** The axis covers at least this. */
  atLeast: number;
}

const dark = matchMedia("(prefers-color-scheme: dark)");

/** A chart of the last minute with two lines; returns how to give it new values. */
export function showChart(id: string, seconds: number, options: ChartOptions): (lines: Lines) => void {
  const frame = byId(id, HTMLDivElement);
  const past = Array.from({ length: seconds }, (_, i) => i - seconds);
  let data: uPlot.AlignedData = [past, past.map(() => null), past.map(() => null)];
  let plot = new uPlot(plotOptions(frame, seconds, options), data, frame);
  new ResizeObserver(() => plot.setSize({ width: frame.clientWidth, height: HEIGHT })).observe(frame);
  dark.addEventListener("change", () => {
    plot.destroy();
    plot = new uPlot(plotOptions(frame, seconds, options), data, frame);
  });
  return ({ sent, handled }) => {
    data = [past, sent, handled];
    plot.setData(data);
  };
}

function plotOptions(frame: HTMLElement, seconds: number, { scale, unit, atLeast }: ChartOptions): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue("--muted");
  const line = style.getPropertyValue("--line");
  const font = `12px ${getComputedStyle(document.body).fontFamily}`;
  const axis = { stroke: ink, font, ticks: { show: false }, grid: { stroke: line, width: 1 } };
  const write = (value: number): string => (unit === "ms" ? duration(value) : short(value));
  const marked = (_: uPlot, splits: number[]): (number | null)[] =>
    scale === "log" ? splits.map((value) => (isDecade(value) ? value : null)) : splits;
  return {
    width: frame.clientWidth,
    height: HEIGHT,
    padding: [10, 12, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { time: false, range: [-seconds, -1] },
      y:
        scale === "log"
          ? { distr: 3, range: (_, min, max) => decades(min, max, atLeast) }
          : { range: (_, __, max) => [0, Math.max(atLeast, max * 1.15)] },
    },
    axes: [
      {
        ...axis,
        size: 26,
        grid: { show: false },
        space: 60,
        values: (_, splits) => splits.map((at) => (at > -2 ? "now" : `${at} s`)),
      },
      {
        ...axis,
        size: 58,
        filter: marked,
        grid: { ...axis.grid, filter: marked },
        values: (_, splits) => splits.map((value) => (value === null ? "" : write(value))),
      },
    ],
    series: [{}, series(style.getPropertyValue("--sent"), scale), series(style.getPropertyValue("--handled"), scale)],
  };
}

function series(colour: string, scale: ChartOptions["scale"]): uPlot.Series {
  const points = { show: scale === "log", size: 5, stroke: colour, fill: colour };
  const fill = scale === "log" ? {} : { fill: `${colour.trim()}22` };
  return { stroke: colour, width: 2, points, ...fill, ...(scale === "log" ? { spanGaps: false } : {}) };
}

/** Whole powers of ten around the values. */
function decades(min: number | null, max: number | null, atLeast: number): [number, number] {
  const low = Math.min(min ?? 0.1, 0.1);
  const high = Math.max(max ?? atLeast, atLeast);
  return [10 ** Math.floor(Math.log10(Math.max(low, 0.001))), 10 ** Math.ceil(Math.log10(high))];
}

function short(value: number): string {
  return value >= 1000 ? `${value / 1000}k` : count(value);
}

function isDecade(value: number): boolean {
  return Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-6;
}
