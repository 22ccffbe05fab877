// The memory flavour of the built package over localStorage, within reach of tests.
import { connect, createLocalStorageStore, queue } from "tabloom/memory";

/** Accepts anything: what these tests send is checked by the tests. */
const schema = { "~standard": { version: 1, vendor: "e2e", validate: (value) => ({ value }) } };

/** A queue over a store of its own under this prefix. */
function openStore(prefix) {
  const store = createLocalStorageStore({ prefix });
  const backend = connect({ store });
  return { backend, q: queue({ id: "q", schema, store }) };
}

/** What a call rejects with. */
async function refusal(call) {
  try {
    await call();
    return undefined;
  } catch ({ name, code, cause }) {
    return { name, code, cause: cause?.name };
  }
}

async function sendAll(count) {
  for (let i = 0; i < count; i++) await globalThis.q.send({ data: { i } });
}

Object.assign(globalThis, { openStore, refusal, sendAll, ...openStore("test") });
document.title = "ready";
