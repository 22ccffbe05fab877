// A tab of an app, in whichever browser. It opens nothing by itself: what a page has open decides whether a browser keeps
// it in its back/forward cache.
const asked = new URLSearchParams(location.search);
const folder = asked.get("build") ?? "/dist";
const tabloom = await import(`${folder}/index.js`);

/** Accepts anything: what these tests send is checked by the tests. */
const anything = { "~standard": { version: 1, vendor: "e2e", validate: (value) => ({ value }) } };

const warnings = [];
const warn = console.warn;
console.warn = (...words) => {
  warnings.push(words.map(String).join(" "));
  warn(...words);
};

const shown = [];
addEventListener("pageshow", ({ persisted }) => shown.push(persisted));
addEventListener("pagehide", () => (globalThis.left = true));

/** Hubs of this page are started from a file that can disturb them (edge.js), whatever file the package asks for. */
function steerHubs(space, edge) {
  const address = `/.out/engines/steered${folder.replaceAll("/", "-")}.js?${new URLSearchParams({ space, ...edge })}`;
  const { SharedWorker, Worker } = globalThis;
  if (SharedWorker) {
    globalThis.SharedWorker = class extends SharedWorker {
      constructor(_url, options) {
        super(address, options);
      }
    };
  }
  globalThis.Worker = class extends Worker {
    constructor(_url, options) {
      super(address, options);
    }
  };
}

/** Joins a space, with a queue, a topic and a mutex in it. Resolves when the hub has answered. */
async function enter({ space, mode, steered, generation, queue = {}, mutex = {} }) {
  if (steered) steerHubs(space, steered);
  globalThis.resets = [];
  globalThis.backend = tabloom.connect({
    space,
    mode,
    ...(generation ? { worker: workerOf(generation) } : {}),
    onReset: ({ reason }) => globalThis.resets.push(reason),
  });
  globalThis.q = tabloom.queue({ id: "q", schema: anything, ...queue });
  globalThis.t = tabloom.topic({ id: "t", schema: anything });
  globalThis.m = tabloom.mutex({ id: "m", defaultTtl: 600_000, ...mutex });
  await globalThis.q.stats();
  return globalThis.backend.status;
}

/** A worker of its own, with a hub of its own, for the same space: as a tab asks for that lost faith in the first. */
function workerOf(generation) {
  return ({ name }) =>
    new SharedWorker(`${folder}/worker.js`, { type: "module", name: name.replace(/\.g\d+$/, `.g${generation}`) });
}

/** Disturbs the hub of a space through edge.js; resolves when that says it is done. */
async function disturb(space, command) {
  const channel = new BroadcastChannel(`edge/${space}`);
  const id = crypto.randomUUID();
  const ask = () => channel.postMessage({ id, ...command });
  const done = new Promise((resolve) => {
    channel.onmessage = ({ data }) => data.done === id && resolve();
  });
  // Again and again: the hub may only be starting, and hear nothing yet.
  const asking = setInterval(ask, 200);
  ask();
  await done;
  clearInterval(asking);
  channel.close();
}

/** Sends `{ i }` from `from` on; resolves with the ids when all are accepted. */
async function sendAll(count, { from = 0, inFlight = 50, ...options } = {}) {
  const ids = [];
  let next = 0;
  const one = async () => {
    while (next < count) {
      const i = next++;
      const { messageId } = await globalThis.q.send({ data: { i: i + from }, ...options });
      ids[i] = messageId;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, one));
  return ids;
}

/** Everything that waits, in the order in which it is handed out, acknowledged; and acknowledged only once. */
async function takeAll() {
  const taken = [];
  for (;;) {
    const messages = await globalThis.q.recvMany({ max: 200, wait: false });
    if (messages.length === 0) return taken;
    for (const message of messages) {
      if (await message.ack()) taken.push(message.data.i);
    }
  }
}

/** Sends, one after the other, until told to stop, `ahead` more than were received at most; `endSending` resolves with what was accepted. */
function keepSending({ ahead } = {}) {
  let next = 0;
  let on = true;
  const accepted = [];
  const one = async () => {
    while (on) {
      const i = next++;
      await globalThis.q.send({ data: { i } });
      accepted.push(i);
      // Whoever sits beside the hub can send faster than others receive. No timer: those of tabs behind others are slow.
      while (ahead && (await globalThis.q.stats()).depth > ahead);
    }
  };
  const sending = one();
  sending.catch(() => {});
  globalThis.accepted = accepted;
  globalThis.endSending = async () => {
    on = false;
    await sending;
    return accepted;
  };
}

/** Receives and acknowledges until told to stop; `endReceiving` resolves with what it got, in that order. */
function keepReceiving() {
  const stop = new AbortController();
  const received = [];
  const receiving = (async () => {
    for await (const message of globalThis.q.stream({ signal: stop.signal })) {
      received.push({ i: message.data.i, attempt: message.attempt, acked: await message.ack() });
    }
  })();
  receiving.catch(() => {});
  globalThis.received = received;
  globalThis.endReceiving = async () => {
    stop.abort();
    await receiving;
    return received;
  };
}

/** Collects what the topic's live listener hears, in `heard`. */
async function listen() {
  const heard = (globalThis.heard = []);
  const live = globalThis.t.live();
  (async () => {
    for await (const event of live) heard.push(event.data);
  })().catch((error) => heard.push(String(error)));
  await globalThis.t.latestCursor();
}

/** Hubs of a space that live, by the locks that they hold. */
async function hubsAlive(space) {
  const { held = [] } = await navigator.locks.query();
  return held.filter(({ name }) => name.startsWith(`tabloom:${space}:hub/`)).length;
}

/** What a call rejects with, by its code; null when it does not. */
function codeOf(call) {
  return call.then(
    () => null,
    (error) => error.code ?? error.name,
  );
}

/** Runs what the other end of this address asks for: for a browser that nothing else can drive. */
async function obey(desk) {
  for (;;) {
    const { id, source } = await (await fetch(desk)).json();
    const tell = (result) => fetch(desk, { method: "POST", body: JSON.stringify({ id, ...result }) });
    // A module of its own each time; the same text again would be the same module.
    const module = `data:text/javascript,${encodeURIComponent(`export default ${source}; // ${id}`)}`;
    import(module)
      .then((order) => order.default)
      .then(
        (text) => tell({ text }),
        (error) => tell({ error: String(error) }),
      );
  }
}

Object.assign(globalThis, {
  tabloom,
  anything,
  warnings,
  shown,
  enter,
  disturb,
  sendAll,
  takeAll,
  keepSending,
  keepReceiving,
  listen,
  hubsAlive,
  codeOf,
  obey,
});
if (asked.has("obey")) void obey(asked.get("obey"));
document.title = "ready";

export {};
