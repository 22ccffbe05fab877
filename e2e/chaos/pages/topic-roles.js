// What a tab does with a topic.
import { call, callAll, happened, pause } from "../../pages/record.js";

const noted = ({ eventId, cursor, duplicate }) => ({ eventId, cursor, duplicate });

export async function publishUntil(stop, t, { name, pace, random: { int, chance } }) {
  let count = 0;
  const make = () => ({
    value: `${name}-${++count}`,
    ...(chance(0.1) ? { idempotencyKey: `once-${int(1, 20)}` } : {}),
  });
  const optionsOf = ({ value, ...options }) => ({ data: { value }, ...options });
  while (!stop.aborted) {
    const items = Array.from({ length: int(1, 3) }, make);
    if (chance(0.5)) {
      await call(
        "pub",
        { items },
        () => t.pubMany(items.map(optionsOf)),
        (all) => all.map(noted),
      );
    } else {
      await callAll(
        items.map((item) => [
          "pub",
          { items: [item] },
          async () => [await t.pub(optionsOf(item))],
          ([one]) => [noted(one)],
        ]),
      );
    }
    await pause(int(0, pace * 2));
  }
}

/** One of the readers of a group, which split the work. */
export async function takeUntil(stop, t, { int, chance }) {
  const reader = t.reader("group");
  while (!stop.aborted) {
    const taken = await call("take", {}, () => reader.recv({ timeoutMs: 200 }), deliveryOf);
    if (!taken) continue;
    await pause(int(0, 4));
    const { eventId } = taken;
    await call("commit", { eventId }, () => taken.commit());
    // Again: it must find nothing.
    if (chance(0.1)) await call("commit", { eventId }, () => taken.commit());
  }
}

const deliveryOf = (taken) => taken && { value: taken.data.value, eventId: taken.eventId, cursor: taken.cursor };

/** Hears everything from now on. */
export async function listen(stop, t) {
  try {
    for await (const { data, cursor } of t.live({ signal: stop })) happened("heard", { value: data.value, cursor });
  } catch (error) {
    happened("deaf", { error: error.code ?? error.name, message: error.message });
  }
}

/** Everything that is retained, from the beginning. */
async function replay() {
  const events = [];
  const stop = new AbortController();
  const last = await globalThis.t.latestCursor();
  if (last.endsWith(".0")) return events;
  for await (const { data, eventId, cursor } of globalThis.t.live({
    after: "0-0",
    timeoutMs: 10_000,
    signal: stop.signal,
  })) {
    events.push({ value: data.value, eventId, cursor });
    if (cursor === last) stop.abort();
  }
  return events;
}

Object.assign(globalThis, { replay });
