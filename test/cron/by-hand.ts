/**
 * Slots worked out the long way, minute by minute on the zone's own clock, and sharing nothing with the engine: what
 * the engine says is compared with it.
 */

const MINUTE = 60_000;

/** A clock of this zone: what it shows at an instant, written as the instant at which a UTC clock shows the same. */
function clockOf(tz: string): (instant: number) => number {
  const format = new Intl.DateTimeFormat("sv-SE", { timeZone: tz, dateStyle: "short", timeStyle: "medium" });
  return (instant) => Date.parse(`${format.format(instant).replace(" ", "T")}Z`);
}

/** Instants at which the zone's clock is set, to the minute; none is missed that lasts for half a day. */
export function clockChanges(tz: string, from: number, until: number): number[] {
  const clock = clockOf(tz);
  const offsetAt = (instant: number): number => clock(instant) - instant;
  const changes: number[] = [];
  const step = 12 * 60 * MINUTE;
  for (let at = from; at < until; at += step) {
    if (offsetAt(at) === offsetAt(at + step)) continue;
    let [before, after] = [at, at + step];
    while (after - before > MINUTE) {
      const middle = before + Math.floor((after - before) / MINUTE / 2) * MINUTE;
      if (offsetAt(middle) === offsetAt(before)) before = middle;
      else after = middle;
    }
    changes.push(after);
  }
  return changes;
}

/** Each real minute of a span with what the clock shows. */
export interface Minutes {
  instants: number[];
  walls: number[];
}

export function minutesOf(tz: string, from: number, until: number): Minutes {
  const clock = clockOf(tz);
  const instants: number[] = [];
  for (let at = from; at <= until; at += MINUTE) instants.push(at);
  return { instants, walls: instants.map(clock) };
}

/** Every slot among these minutes, by the rule for changes of the clock. */
export function slotsByHand(cron: string, { instants, walls }: Minutes): number[] {
  const [, hour] = cron.split(" ");
  if (/^\*(\/\d+)?$/.test(hour!)) return instants.filter((_, i) => shows(cron, walls[i]!));
  const firstAt = new Map<number, number>();
  walls.forEach((wall, i) => firstAt.has(wall) || firstAt.set(wall, instants[i]!));
  const slots = new Set<number>();
  const last = Math.max(...walls);
  for (let wall = walls[0]!; wall <= last; wall += MINUTE) {
    if (!shows(cron, wall)) continue;
    const at = firstAt.get(wall) ?? instants[walls.findIndex((shown) => shown > wall)]!;
    slots.add(at);
  }
  return [...slots].sort((a, b) => a - b);
}

/** The first minute after an instant that is a slot in UTC. */
export function nextByHand(cron: string, after: number): number {
  let minute = Math.floor(after / MINUTE) * MINUTE + MINUTE;
  while (!shows(cron, minute)) minute += MINUTE;
  return minute;
}

/** Whether a clock that shows this is at a time of the expression; numbers, stars, lists, ranges and steps only. */
function shows(cron: string, wall: number): boolean {
  const [minute, hour, day, month, weekday] = cron.split(" ") as [string, string, string, string, string];
  const date = new Date(wall);
  if (!within(minute, date.getUTCMinutes(), 0, 59)) return false;
  if (!within(hour, date.getUTCHours(), 0, 23)) return false;
  if (!within(month, date.getUTCMonth() + 1, 1, 12)) return false;
  const dayFits = within(day, date.getUTCDate(), 1, 31);
  const weekdayFits = within(weekday, date.getUTCDay(), 0, 7) || (date.getUTCDay() === 0 && within(weekday, 7, 0, 7));
  if (day[0] === "*" || weekday[0] === "*") return dayFits && weekdayFits;
  return dayFits || weekdayFits;
}

function within(field: string, value: number, min: number, max: number): boolean {
  return field.split(",").some((part) => {
    const [range, step] = part.split("/") as [string, string?];
    const [low, high = low] = range === "*" ? [min, max] : (range.split("-").map(Number) as [number, number?]);
    return value >= low && value <= high && (value - low) % Number(step ?? 1) === 0;
  });
}
