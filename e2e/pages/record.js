// What a tab writes down of its calls (test/history/record.ts says what a note is), and what it keeps of others'.

let tab;
let n = 0;
let calls = 0;
/** To where the record is kept; without it the notes stay here. */
let post;
let confirmed;
/** Sent there, and not confirmed. */
const unkept = [];
export let tellAgain = () => {};
const notes = [];

/** Takes down what this tab does from now on. `kept`: another tab keeps it, so that it outlives this one. */
function recordAs(name, { kept }) {
  tab = name;
  n = 0;
  if (!kept) return;
  const channel = new BroadcastChannel(`record/${tab}`);
  channel.onmessage = ({ data }) => keptUpTo(data.kept);
  recordTo(name, (note) => channel.postMessage(note));
}

/** As `recordAs`, to whatever confirms notes with `keptUpTo`; what it may have missed it is sent with `tellAgain`. */
export function recordTo(name, send) {
  tab = name;
  n = 0;
  confirmed = new Map();
  post = (note) => {
    unkept.push(note);
    send(note);
  };
  tellAgain = () => unkept.forEach(send);
}

/** The record has this note, and all before it. */
export function keptUpTo(last) {
  while (unkept.length > 0 && unkept[0].n <= last) unkept.shift();
  for (const [noted, resolve] of confirmed) {
    if (noted > last) continue;
    confirmed.delete(noted);
    resolve();
  }
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
  if (post) post(note);
  else notes.push(note);
  return note;
}

/** Until the record has it. Notes of a tab are confirmed one by one, in order. */
function isKept(note) {
  return post ? new Promise((resolve) => confirmed.set(note.n, resolve)) : Promise.resolve();
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
        write({ call, error: error.code ?? error.name, message: error.message });
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
