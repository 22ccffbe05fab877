import { ValidationError } from "../protocol/errors.js";

/** A cron expression, understood. */
export interface CronFields {
  /** The same in plain lists of numbers; only a whole `*` stays. */
  readonly plain: string;
  /** Day of month and day of week must both match; otherwise either is enough. */
  readonly bothDays: boolean;
  /** The hour is a star, alone or with a step: it follows real hours, so that a repeated hour counts twice. */
  readonly everyHour: boolean;
}

interface FieldRule {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  readonly names?: readonly string[];
}

const FIELDS: readonly FieldRule[] = [
  { name: "minute", min: 0, max: 59 },
  { name: "hour", min: 0, max: 23 },
  { name: "day of month", min: 1, max: 31 },
  {
    name: "month",
    min: 1,
    max: 12,
    names: ["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
  },
  // 7 is Sunday too, but only after ranges and steps were counted out: 0-7 and 5-7 are what they look like.
  { name: "day of week", min: 0, max: 7, names: ["sun", "mon", "tue", "wed", "thu", "fri", "sat"] },
];

const MACROS: Readonly<Record<string, string>> = {
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
  "@monthly": "0 0 1 * *",
  "@weekly": "0 0 * * 0",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@hourly": "0 * * * *",
};

const MAX_LENGTH = 500;
const SUNDAY = 7;
/** The longest that each month can be. */
const MONTH_DAYS = [0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/**
 * Reads an expression as Vixie cron does, strictly: what cron daemons read in different ways is refused.
 *
 * @throws `ValidationError`
 */
export function parseCron(cron: string): CronFields {
  const text = typeof cron === "string" && cron.length <= MAX_LENGTH ? cron.trim().toLowerCase() : "";
  const fields = (Object.hasOwn(MACROS, text) ? MACROS[text]! : text).split(/[ \t]+/);
  if (fields.length !== FIELDS.length) fail(cron, "it needs five fields, or a name such as @daily");
  const [minutes, hours, days, months, weekdays] = fields.map((field, i) => expand(cron, FIELDS[i]!, field)) as [
    number[],
    number[],
    number[],
    number[],
    number[],
  ];
  const [, hour, day, , weekday] = fields as [string, string, string, string, string];
  const bothDays = day.startsWith("*") || weekday.startsWith("*");
  if (bothDays && !months.some((month) => days.some((one) => one <= MONTH_DAYS[month]!))) {
    fail(cron, "no month has such a day");
  }
  const sundayOnce = [...new Set(weekdays.map((one) => one % SUNDAY))];
  return {
    plain: [minutes, hours, days, months, sundayOnce]
      .map((numbers, i) => (fields[i] === "*" ? "*" : numbers.join(",")))
      .join(" "),
    bothDays,
    everyHour: /^\*(\/\d+)?$/.test(hour),
  };
}

/** The numbers that a field stands for. */
function expand(cron: string, rule: FieldRule, field: string): number[] {
  const numbers = field.split(",").flatMap((part) => expandPart(cron, rule, part));
  return [...new Set(numbers)].sort((a, b) => a - b);
}

function expandPart(cron: string, rule: FieldRule, part: string): number[] {
  const { name, min, max } = rule;
  const match = /^(?:\*|([a-z]{3}|\d{1,2})(?:-([a-z]{3}|\d{1,2}))?)(?:\/(\d{1,2}))?$/.exec(part);
  if (!match) return fail(cron, `"${part}" is not a ${name}`);
  const [, from, to, every] = match;
  if (from !== undefined && to === undefined && every !== undefined) {
    return fail(cron, `"${part}" means different things to different crons: write ${from}-${max}/${every}`);
  }
  const first = from === undefined ? min : numberOf(cron, rule, from);
  let last = to === undefined ? (from === undefined ? max : first) : numberOf(cron, rule, to);
  if (to === "sun" && first > 0) last = SUNDAY;
  if (last < first) return fail(cron, `"${part}" runs backwards`);
  const step = Number(every ?? 1);
  if (step < 1 || step > max - min + 1) return fail(cron, `"${part}" has a step that the ${name} cannot take`);
  return Array.from({ length: Math.floor((last - first) / step) + 1 }, (_, i) => first + i * step);
}

function numberOf(cron: string, { name, min, max, names }: FieldRule, text: string): number {
  const number = /^\d/.test(text) ? Number(text) : (names?.indexOf(text) ?? -1);
  return number >= min && number <= max ? number : fail(cron, `"${text}" is not a ${name}`);
}

function fail(cron: unknown, why: string): never {
  const shown = JSON.stringify(String(cron).slice(0, MAX_LENGTH));
  throw new ValidationError(`${shown} is not a cron expression: ${why}`, [{ message: why, path: ["cron"] }]);
}
