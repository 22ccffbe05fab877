import { startChild } from "./child.js";

/** A process of its own that is asked for things, each with an answer, and says others of its own accord. */
export interface AskedChild {
  ask(request: unknown): Promise<unknown>;
  /** Hears what it says besides its answers. */
  onNote(hear: (note: unknown) => void): void;
  signal(name: "SIGSTOP" | "SIGCONT"): void;
  /** Ends it without letting it finish anything: what it was asked for rejects. */
  kill(): Promise<void>;
}

/** One line of its output. */
export type Said = { note: unknown } | { id: number; value: unknown } | { id: number; error: string };

export async function startAskedChild(module: URL): Promise<AskedChild> {
  const child = await startChild(module);
  const asked = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  const hearers: ((note: unknown) => void)[] = [];
  let last = 0;
  const answered = (said: Exclude<Said, { note: unknown }>): void => {
    const { resolve, reject } = asked.get(said.id)!;
    asked.delete(said.id);
    if ("error" in said) reject(new Error(said.error));
    else resolve(said.value);
  };
  const listen = async (): Promise<void> => {
    for (;;) {
      const said = JSON.parse(await child.says()) as Said;
      if (!("note" in said)) answered(said);
      else for (const hear of hearers) hear(said.note);
    }
  };
  listen().catch((error: Error) => {
    for (const { reject } of asked.values()) reject(error);
  });
  return {
    ask: (request) =>
      new Promise((resolve, reject) => {
        asked.set(++last, { resolve, reject });
        child.tell(JSON.stringify({ id: last, request }));
      }),
    onNote: (hear) => void hearers.push(hear),
    signal: (name) => child.signal(name),
    kill: () => child.kill(),
  };
}
