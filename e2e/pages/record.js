// What a tab writes down of its calls (test/history/record.ts says what a note is), and what it keeps of others'.

let tab;
let n = 0;
let calls = 0;
/** To the tab that keeps the record; without one the notes stay here. */
let channel;
let confirmed;
const notes = [];

/** Takes down what this tab does from now on. `kept`: another tab keeps it, so that it outlives this one. */
function recordAs(name, { kept }) {
  tab = name;
  n = 0;
  if (!kept) return;
  confirmed = new Map();
  channel = new BroadcastChannel(`record/${tab}`);
  channel.onmessage = ({ data }) => {
    confirmed.get(data.kept)?.();
    confirmed.delete(data.kept);
  };
}

/** Makes this the tab that keeps the record of another. */
function keepRecordOf(name) {
  const from = new BroadcastChannel(`record/${name}`);
  from.onmessage = ({ data }) => {
    notes.push(data);
    from.postMessage({ kept: data.n });
  };
}

function write(what) {
  const note = { tab, n: ++n, at: performance.now(), ...what };
  if (channel) channel.postMessage(note);
  else notes.push(note);
  return note;
}

/** Until the record has it. Notes of a tab are confirmed one by one, in order. */
function isKept(note) {
  return channel ? new Promise((resolve) => confirmed.set(note.n, resolve)) : Promise.resolve();
}

/**
 * Makes calls at the same moment, each given as [op, args, run, tell]; resolves with what they resolved with, undefined
 * for those that failed. They are on record before they can have an effect, and so is what came of those before them; `tell` makes of
 * a result what is noted.
 */
export async function callAll(list) {
  const begun = list.map(([op, args, run, tell = (value) => value]) => {
    const call = `${tab}#${++calls}`;
    return { call, run, tell, note: write({ call, op, args }) };
  });
  await isKept(begun.at(-1).note);
  return Promise.all(
    begun.map(async ({ call, run, tell }) => {
      try {
        const value = await run();
        write({ call, value: tell(value) });
        return value;
      } catch (error) {
        write({ call, error: error.code ?? error.name });
        return undefined;
      }
    }),
  );
}

export async function call(...one) {
  const [value] = await callAll([one]);
  return value;
}

/** Something that happened to this tab, as a call that was answered at once. */
export function happened(op, args) {
  const id = `${tab}#${++calls}`;
  write({ call: id, op, args });
  write({ call: id, value: null });
}

/** Not to let time pass for its own sake: it moves what tabs do against each other. */
export function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

Object.assign(globalThis, { recordAs, keepRecordOf, notes, takeNotes: () => notes.splice(0) });
