// What a tab of each of these apps does. The apps get a copy of it, for they live in folders of their own.
import { connect, job, mutex, queue, topic } from "tabloom";

/** @type {import("tabloom").Schema<string>} */
const text = {
  "~standard": {
    version: 1,
    vendor: "consumer",
    validate: (value) => (typeof value === "string" ? { value } : { issues: [{ message: "no text" }] }),
  },
};

const asked = new URLSearchParams(location.search);

/** Which worker file, or way of loading it, the page was asked for; null: the package finds its own. */
export const hubAsked = asked.get("hub");

/**
 * Connects this tab and makes its handles; tests find them in `globalThis.tab`.
 *
 * @param {import("tabloom").HubOptions} options
 */
export function joinSpace(options = {}) {
  const backend = connect({
    space: "consumer",
    ...(asked.get("mode") === "elected-tab" ? { mode: "elected-tab" } : {}),
    ...options,
  });
  const events = topic({ id: "events", schema: text });
  /** @type {string[]} */
  const heard = [];
  Object.assign(globalThis, {
    tab: {
      backend,
      letters: queue({ id: "letters", schema: text }),
      door: mutex({ id: "door" }),
      events,
      heard,
      async listen() {
        const live = events.live();
        void (async () => {
          for await (const event of live) heard.push(event.data);
        })();
        await events.latestCursor();
      },
      /** A handle that submits, and works unless a worker does. */
      greetings: (/** @type {boolean} */ works) =>
        job({
          id: "greetings",
          schema: text,
          worker: works,
          process: async ({ ctx, input }) => ctx.step({ id: "greet", run: () => `${input}, says a tab` }),
        }),
    },
  });
  document.title = "ready";
}
