import { run } from "../../src/cli/program.js";

/** One command line as it was answered. */
export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs the program here, for somebody who is not at a screen. `until`: what is waited for before it is interrupted. */
export async function tabloom(...args: string[]): Promise<Ran> {
  return interruptedAfter(() => false, ...args);
}

/** For what goes on until it is interrupted: here when enough was said. */
export async function interruptedAfter(enough: (out: string) => boolean, ...args: string[]): Promise<Ran> {
  const interrupt = new AbortController();
  let out = "";
  let err = "";
  const code = await run(args, {
    out(line) {
      out += `${line}\n`;
      if (enough(out)) interrupt.abort();
    },
    err: (line) => (err += `${line}\n`),
    interactive: false,
    signal: interrupt.signal,
  });
  return { code, out, err };
}

/** What every trouble is: one line, of what is wrong and what to do, and no stack. */
export function isOneLine(text: string): boolean {
  return /^tabloom: [^\n]+\n$/.test(text) && !/\bat .*:\d+:\d+|Error:/.test(text);
}
